        case NV_ESC_REGISTER_FD:
        {
            NV_ACTUAL_DEVICE_ONLY(nv);
            break;
        }
