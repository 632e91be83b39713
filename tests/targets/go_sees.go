// A static Go program: opens the device node by system calls of its own, from several threads.
package main

import (
	"fmt"
	"os"
	"sync"
)

func main() {
	var group sync.WaitGroup
	var failed error
	var lock sync.Mutex
	for index := 0; index < 8; index++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for round := 0; round < 200; round++ {
				file, err := os.OpenFile("/dev/nvidiactl", os.O_RDWR, 0)
				if err != nil {
					lock.Lock()
					failed = err
					lock.Unlock()
					return
				}
				file.Close()
			}
		}()
	}
	group.Wait()
	if failed != nil {
		fmt.Println("no-device:", failed)
		os.Exit(1)
	}
	fmt.Println("device")
}
