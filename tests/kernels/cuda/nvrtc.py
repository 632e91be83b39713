"""Compiles kernels.cu of a folder with the NVRTC in another and prints the PTX: nvrtc.py NVRTC SOURCES"""
import ctypes
import os
import sys

nvrtc = ctypes.CDLL(os.path.join(sys.argv[1], 'nvidia/cuda_nvrtc/lib/libnvrtc.so.12'))
source = open(os.path.join(sys.argv[2], 'kernels.cu'), 'rb').read()
program, size = ctypes.c_void_p(), ctypes.c_size_t()
nvrtc.nvrtcCreateProgram(ctypes.byref(program), source, b'kernels.cu', 0, None, None)
options = [b'--gpu-architecture=compute_61', b'--fmad=false', b'-I' + sys.argv[2].encode()]
failed = nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
what = 'ProgramLog' if failed else 'PTX'
getattr(nvrtc, f'nvrtcGet{what}Size')(program, ctypes.byref(size))
text = ctypes.create_string_buffer(size.value)
getattr(nvrtc, f'nvrtcGet{what}')(program, text)
if failed:
    sys.exit(text.value.decode())
print(text.value.decode())
