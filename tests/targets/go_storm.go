// Goroutines that compute without a call, so that the runtime preempts them by signals all the time, beside others that open
// files and start processes; each open must happen once.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"
)

func main() {
	runtime.GOMAXPROCS(4)
	stop := make(chan struct{})
	// More of the same signal than the runtime sends itself.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGURG)
	go func() {
		for {
			select {
			case <-stop:
				return
			default:
				syscall.Kill(syscall.Getpid(), syscall.SIGURG)
				time.Sleep(50 * time.Microsecond)
			}
		}
	}()
	for range [2]int{} {
		go func() {
			for number := 1; ; number = number*3 + 1 {
			}
		}()
	}
	var wait sync.WaitGroup
	var failed [4]int
	for worker := range failed {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for round := 0; round < 250; round++ {
				if text, err := os.ReadFile("/etc/hostname"); err != nil || len(text) == 0 {
					failed[worker]++
				}
				if round%50 == 0 {
					if exec.Command("/bin/true").Run() != nil {
						failed[worker]++
					}
				}
			}
		}()
	}
	wait.Wait()
	close(stop)
	entries, _ := os.ReadDir("/proc/self/fd")
	fmt.Println(failed, len(entries) < 12)
}
