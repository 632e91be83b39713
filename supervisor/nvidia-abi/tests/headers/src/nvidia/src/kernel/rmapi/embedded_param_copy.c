NV_STATUS embeddedParamCopyIn(void)
{
        case NV2080_CTRL_CMD_CE_GET_CAPS:
            RMAPI_PARAM_COPY_INIT(paramCopies[0],
                                  ((NV2080_CTRL_CE_GET_CAPS_PARAMS*)pParams)->capsTbl,
                                  ((NV2080_CTRL_CE_GET_CAPS_PARAMS*)pParams)->capsTbl,
                                  ((NV2080_CTRL_CE_GET_CAPS_PARAMS*)pParams)->capsTblSize, sizeof(NV2080_CTRL_FB_INFO));
            paramCopies[0].flags |= RMAPI_PARAM_COPY_FLAGS_SKIP_COPYIN;
            paramCopies[0].flags |= RMAPI_PARAM_COPY_FLAGS_ZERO_BUFFER;
}
NV_STATUS embeddedParamCopyOut(void)
{
}
