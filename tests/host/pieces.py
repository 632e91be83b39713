"""What of a driver PyTorch uses beside kernels: pinned memory, workers, graphs, events, memory of other processes, fork."""
import os

import torch
import torch.multiprocessing as multiprocessing
from torch.utils.data import DataLoader, TensorDataset


def child(queue, done):
    shared = queue.get()
    shared.add_(1)
    torch.cuda.synchronize()
    done.set()


def main():
    loader = DataLoader(TensorDataset(torch.arange(1000.0)), batch_size=100, num_workers=2, pin_memory=True)
    print("workers", sum(float(batch.to("cuda", non_blocking=True).sum()) for (batch,) in loader))

    x = torch.ones(1000, device="cuda")
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        x.mul_(2)
    for _ in range(3):
        graph.replay()
    print("graph", float(x[0]))

    pages = torch.ones(1 << 20)
    print("registered", torch.cuda.cudart().cudaHostRegister(pages.data_ptr(), pages.nbytes, 0),
          float(pages.to("cuda", non_blocking=True).sum()), torch.cuda.cudart().cudaHostUnregister(pages.data_ptr()))

    multiprocessing.set_start_method("spawn", force=True)
    queue, done = multiprocessing.Queue(), multiprocessing.Event()
    other = multiprocessing.Process(target=child, args=(queue, done))
    other.start()
    shared = torch.zeros(10, device="cuda")
    queue.put(shared)
    # Who may not share memory never puts it into the queue, and the other waits for ever.
    done.wait(30) or other.kill()
    print("between processes", shared.tolist()[:2])
    other.join()

    pid = os.fork()
    if pid == 0:
        os._exit(3)
    print("fork", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), float((x * 2).sum()))
    try:
        torch.empty(1 << 45, device="cuda")
    except torch.OutOfMemoryError as error:
        print("too much:", str(error).split(".")[0])


if __name__ == "__main__":
    main()
