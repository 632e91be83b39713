        case NV_ESC_RM_FREE:
        {
            NV_CTL_DEVICE_ONLY(nv);
            break;
        }
        case NV_ESC_RM_CONTROL:
        {
            if (someArgument)
            {
                NV_CTL_DEVICE_ONLY(nv);
            }
            break;
        }
