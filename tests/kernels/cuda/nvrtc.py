"""Compiles a file with the NVRTC of a folder and prints the PTX: nvrtc.py NVRTC CAPABILITY FILE [INCLUDE…]"""
import ctypes
import os
import sys

nvrtc = ctypes.CDLL(os.path.join(sys.argv[1], 'nvidia/cuda_nvrtc/lib/libnvrtc.so.12'))
source = open(sys.argv[3], 'rb').read()
program, size = ctypes.c_void_p(), ctypes.c_size_t()
nvrtc.nvrtcCreateProgram(ctypes.byref(program), source, os.path.basename(sys.argv[3]).encode(), 0, None, None)
folders = [os.path.dirname(sys.argv[3])] + sys.argv[4:]
options = [b'--gpu-architecture=compute_' + sys.argv[2].encode(), b'--fmad=false', b'--device-int128', b'--disable-warnings']
options += os.environb.get(b'NVRTC_OPTIONS', b'').split()
options += [b'-I' + folder.encode() for folder in folders]
failed = nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
what = 'ProgramLog' if failed else 'PTX'
getattr(nvrtc, f'nvrtcGet{what}Size')(program, ctypes.byref(size))
text = ctypes.create_string_buffer(size.value)
getattr(nvrtc, f'nvrtcGet{what}')(program, text)
if failed:
    sys.exit(text.value.decode())
print(text.value.decode())
