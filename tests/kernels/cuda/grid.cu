// Blocks that wait for each other through NVIDIA's own cooperative_groups.h.
#include <cooperative_groups.h>

namespace cg = cooperative_groups;

#define KERNEL extern "C" __global__ void

// Each round reads what other blocks wrote in the round before.
KERNEL grid_rounds(const int *in, int *out, int n)
{
    cg::grid_group grid = cg::this_grid();
    int index = grid.thread_rank();
    out[index] = in[index];
    for (int round = 0; round < 5; round++) {
        grid.sync();
        int sum = out[index] * 3 + out[(index * 7 + round * 64 + 1) & (n - 1)];
        grid.sync();
        out[index] = sum;
    }
}

// Groups inside a block and a warp, by the same header.
KERNEL tiles(const int *in, int *out, int n)
{
    cg::thread_block block = cg::this_thread_block();
    cg::thread_block_tile<8> tile = cg::tiled_partition<8>(block);
    int index = block.group_index().x * block.size() + block.thread_rank();
    int sum = in[index];
    for (int step = tile.size() / 2; step > 0; step /= 2) sum += tile.shfl_xor(sum, step);
    if (in[index] & 1) {
        cg::coalesced_group odd = cg::coalesced_threads();
        sum += 1000 * odd.size() + odd.thread_rank();
    }
    out[index] = sum;
}
