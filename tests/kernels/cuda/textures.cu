// Lookups for textures.c: each kernel looks at `n` places, whose coordinates are given, and writes what it finds.
#define KERNEL extern "C" __global__ void
#define AT (int)(blockIdx.x * blockDim.x + threadIdx.x)
typedef cudaTextureObject_t Texture;
typedef cudaSurfaceObject_t Surface;

#define LOOKUP(name, T, what) \
    KERNEL name(Texture t, const float *x, const float *y, const float *z, T *out, int n) { int i = AT; if (i < n) out[i] = what; }
LOOKUP(fetch_float, float, tex1Dfetch<float>(t, (int)x[i]))
LOOKUP(fetch_int, int, tex1Dfetch<int>(t, (int)x[i]))
LOOKUP(fetch_short, int, tex1Dfetch<short>(t, (int)x[i]))
LOOKUP(fetch_float4, float4, tex1Dfetch<float4>(t, (int)x[i]))
LOOKUP(fetch_uchar4, int, (int)(tex1Dfetch<uchar4>(t, (int)x[i]).z * 256 + tex1Dfetch<uchar4>(t, (int)x[i]).w))
LOOKUP(line_float, float, tex1D<float>(t, x[i]))
LOOKUP(line_int, int, tex1D<int>(t, x[i]))
LOOKUP(plane_float, float, tex2D<float>(t, x[i], y[i]))
LOOKUP(plane_float2, float2, tex2D<float2>(t, x[i], y[i]))
LOOKUP(plane_float4, float4, tex2D<float4>(t, x[i], y[i]))
LOOKUP(plane_byte, int, tex2D<unsigned char>(t, x[i], y[i]))
LOOKUP(plane_signed, int, tex2D<signed char>(t, x[i], y[i]))
LOOKUP(plane_int, int, tex2D<int>(t, x[i], y[i]))
LOOKUP(plane_lod, float, tex2DLod<float>(t, x[i], y[i], 0.0f))
LOOKUP(plane_grad, float, tex2DGrad<float>(t, x[i], y[i], make_float2(0.1f, 0), make_float2(0, 0.1f)))
LOOKUP(box_float, float, tex3D<float>(t, x[i], y[i], z[i]))
LOOKUP(line_layered, float, tex1DLayered<float>(t, x[i], (int)z[i]))
LOOKUP(plane_layered, float, tex2DLayered<float>(t, x[i], y[i], (int)z[i]))
LOOKUP(gather_x, float4, tex2Dgather<float4>(t, x[i], y[i], 0))
LOOKUP(gather_w, float4, tex2Dgather<float4>(t, x[i], y[i], 3))

#define SURFACE(name, body) KERNEL name(Surface s, const float *x, const float *y, const float *z, int *out, int n) { int i = AT; if (i < n) body }
SURFACE(surface_reads, { int v; surf2Dread(&v, s, (int)x[i] * 4, (int)y[i], cudaBoundaryModeZero); out[i] = v; })
SURFACE(surface_clamps, { out[i] = surf2Dread<int>(s, (int)x[i] * 4, (int)y[i], cudaBoundaryModeClamp); })
SURFACE(surface_traps, { out[i] = surf2Dread<int>(s, (int)x[i] * 4, (int)y[i]); })
SURFACE(surface_writes, { surf2Dwrite((int)(x[i] * 1000 + y[i]), s, (int)x[i] * 4, (int)y[i], cudaBoundaryModeZero); out[i] = 1; })
SURFACE(surface_writes_shorts, { surf2Dwrite((short)(x[i] * 100 + y[i]), s, (int)x[i] * 2, (int)y[i]); out[i] = 1; })
SURFACE(surface_writes_vectors, { surf2Dwrite(make_int4((int)x[i], (int)y[i], 3, 4), s, (int)x[i] * 16, (int)y[i]); out[i] = 1; })
SURFACE(surface_of_boxes, { surf3Dwrite((int)(x[i] * 100 + y[i] * 10 + z[i]), s, (int)x[i] * 4, (int)y[i], (int)z[i]); out[i] = surf3Dread<int>(s, (int)x[i] * 4, (int)y[i], (int)z[i]); })
SURFACE(surface_of_layers, { surf2DLayeredwrite((int)(x[i] * 100 + y[i] * 10 + z[i]), s, (int)x[i] * 4, (int)y[i], (int)z[i]); out[i] = surf2DLayeredread<int>(s, (int)x[i] * 4, (int)y[i], (int)z[i]); })
