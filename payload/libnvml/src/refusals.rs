//! What always has the same answer, as there are no instances, units, virtual cards and excluded devices. Recorded on an H100.

// No such handle, type or place exists.
answers! { INVALID_ARGUMENT:
    |nvmlComputeInstanceGetInfo
    |nvmlComputeInstanceGetInfo_v2
    |nvmlDeviceGetComputeInstanceId
    |nvmlDeviceGetDeviceHandleFromMigDeviceHandle
    |nvmlDeviceGetGpuInstanceId
    |nvmlGetBlacklistDeviceInfoByIndex
    |nvmlGetExcludedDeviceInfoByIndex
    |nvmlGpuInstanceGetActiveVgpus
    |nvmlGpuInstanceGetComputeInstanceById
    |nvmlGpuInstanceGetComputeInstancePossiblePlacements
    |nvmlGpuInstanceGetComputeInstanceProfileInfo
    |nvmlGpuInstanceGetComputeInstanceProfileInfoV
    |nvmlGpuInstanceGetComputeInstanceRemainingCapacity
    |nvmlGpuInstanceGetComputeInstances
    |nvmlGpuInstanceGetCreatableVgpus
    |nvmlGpuInstanceGetInfo
    |nvmlGpuInstanceGetVgpuHeterogeneousMode
    |nvmlGpuInstanceGetVgpuSchedulerLog
    |nvmlGpuInstanceGetVgpuSchedulerState
    |nvmlGpuInstanceGetVgpuTypeCreatablePlacements
    |nvmlUnitGetDevices
    |nvmlUnitGetFanSpeedInfo
    |nvmlUnitGetHandleByIndex
    |nvmlUnitGetLedState
    |nvmlUnitGetPsuInfo
    |nvmlUnitGetTemperature
    |nvmlUnitGetUnitInfo
    |nvmlVgpuTypeGetCapabilities
    |nvmlVgpuTypeGetClass
    |nvmlVgpuTypeGetDeviceID
    |nvmlVgpuTypeGetFbReservation
    |nvmlVgpuTypeGetFrameRateLimit
    |nvmlVgpuTypeGetFramebufferSize
    |nvmlVgpuTypeGetGpuInstanceProfileId
    |nvmlVgpuTypeGetGspHeapSize
    |nvmlVgpuTypeGetMaxInstancesPerGpuInstance
    |nvmlVgpuTypeGetMaxInstancesPerVm
    |nvmlVgpuTypeGetName
    |nvmlVgpuTypeGetNumDisplayHeads
    |nvmlVgpuTypeGetResolution
}

// No virtual card is there to be found.
answers! { NOT_FOUND:
    |nvmlDeviceGetGpuInstanceById
    |nvmlVgpuInstanceGetAccountingMode
    |nvmlVgpuInstanceGetAccountingPids
    |nvmlVgpuInstanceGetAccountingStats
    |nvmlVgpuInstanceGetEccMode
    |nvmlVgpuInstanceGetEncoderCapacity
    |nvmlVgpuInstanceGetEncoderSessions
    |nvmlVgpuInstanceGetEncoderStats
    |nvmlVgpuInstanceGetFBCSessions
    |nvmlVgpuInstanceGetFBCStats
    |nvmlVgpuInstanceGetFbUsage
    |nvmlVgpuInstanceGetFrameRateLimit
    |nvmlVgpuInstanceGetGpuInstanceId
    |nvmlVgpuInstanceGetGpuPciId
    |nvmlVgpuInstanceGetLicenseInfo
    |nvmlVgpuInstanceGetLicenseInfo_v2
    |nvmlVgpuInstanceGetLicenseStatus
    |nvmlVgpuInstanceGetMdevUUID
    |nvmlVgpuInstanceGetRuntimeStateSize
    |nvmlVgpuInstanceGetType
    |nvmlVgpuInstanceGetUUID
    |nvmlVgpuInstanceGetVmDriverVersion
}

// These ask for room before they look for what is not there.
answers! { INSUFFICIENT_SIZE:
    |nvmlVgpuInstanceGetMetadata
    |nvmlVgpuInstanceGetVmID
    |nvmlVgpuTypeGetLicense
}

// Asked of a card that is in no confidential machine.
answers! { UNKNOWN:
    |nvmlDeviceGetConfComputeGpuAttestationReport
    |nvmlDeviceGetConfComputeGpuCertificate
}
