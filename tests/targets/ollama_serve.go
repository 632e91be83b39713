// The parent of an Ollama-shaped tree, in a static program: finds library directories by their files' names, and asks a
// runner in a process of its own what devices there are.
//
//	serve info      a runner per directory, asked over HTTP; then a runner per device, at the same time; all killed
//	serve discover  a runner per directory, which gets the directories as arguments and an empty environment, and prints
//
// Prints a line for each device, and what it saw on the way.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"
)

type device struct {
	Name, Description, ID, Compute, Driver, PCI string
	Total, Free                                 uint64
	// What the driver's own libraries say of it; by `discover` only.
	Native struct{ Name, PCI, Compute, Driver string }
	// Bytes that the runner holds of it, and what was free by then.
	Held, Left  uint64
	directories []string
}

type seconds = time.Duration

func fail(words ...any) {
	fmt.Println(words...)
	os.Exit(1)
}

// The folder with the libraries, beside this program.
func libraries() string {
	program, err := os.Executable()
	if err != nil {
		fail("no path of this program:", err)
	}
	return filepath.Join(filepath.Dir(program), "..", "lib", "ollama")
}

func libraryDirectories(libraries string) []string {
	files, _ := filepath.Glob(filepath.Join(libraries, "*", "*ggml-*"))
	found := map[string]bool{}
	for _, file := range files {
		found[filepath.Dir(file)] = true
	}
	directories := []string{}
	for directory := range found {
		directories = append(directories, directory)
	}
	// The newest first.
	sort.Sort(sort.Reverse(sort.StringSlice(directories)))
	return directories
}

func runner() string {
	program, _ := os.Executable()
	return filepath.Join(filepath.Dir(program), "runner")
}

// The environment as it is, but for the two variables that say where libraries are.
func environment(directories, extra []string) []string {
	paths := strings.Join(directories, ":")
	path := paths
	if inherited, set := os.LookupEnv("LD_LIBRARY_PATH"); set {
		path += ":" + inherited
	}
	variables := []string{}
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "LD_LIBRARY_PATH=") && !strings.HasPrefix(variable, "OLLAMA_LIBRARY_PATH=") {
			variables = append(variables, variable)
		}
	}
	variables = append(variables, "LD_LIBRARY_PATH="+path, "OLLAMA_LIBRARY_PATH="+paths)
	return append(variables, extra...)
}

func freePort() string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fail("no port:", err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return port
}

// Starts a runner without standard streams, asks it for its devices until it answers, and kills it. `answered` is called
// in between.
func bootstrap(limit seconds, directories, extra []string, answered func()) ([]device, error) {
	deadline, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	port := freePort()
	command := exec.Command(runner(), "runner", "--ollama-engine", "--port", port)
	command.Env = environment(directories, extra)
	if err := command.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	defer func() {
		command.Process.Kill()
		<-ended
	}()
	for {
		select {
		case <-deadline.Done():
			return nil, deadline.Err()
		case err := <-ended:
			ended <- err
			return nil, fmt.Errorf("the runner ended: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
		request, _ := http.NewRequestWithContext(deadline, "GET", "http://127.0.0.1:"+port+"/info", nil)
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			continue
		}
		devices := []device{}
		err = json.NewDecoder(answer.Body).Decode(&devices)
		answer.Body.Close()
		answered()
		for index := range devices {
			devices[index].directories = directories
		}
		return devices, err
	}
}

func nothing() {}

// The first pass: every device of every directory.
func allDevices(limit seconds, libraries string) []device {
	found := []device{}
	for _, directory := range libraryDirectories(libraries) {
		devices, err := bootstrap(limit, []string{libraries, directory}, nil, nothing)
		fmt.Printf("bootstrap %s: %d devices, error: %v\n", filepath.Base(directory), len(devices), err)
		found = append(found, devices...)
	}
	return found
}

// The second pass: each device alone, in a runner that really uses it, all of them at the same time.
func verify(found []device) []device {
	verified := make([][]device, len(found))
	var all, holding sync.WaitGroup
	holding.Add(len(found))
	for index, one := range found {
		all.Add(1)
		// As arguments: before Go 1.22 all rounds of a loop share its variables.
		go func(index int, one device) {
			defer all.Done()
			told := false
			extra := []string{"CUDA_VISIBLE_DEVICES=" + one.ID, "GGML_CUDA_INIT=1"}
			// Nobody is killed before all hold their memory.
			devices, err := bootstrap(30*time.Second, one.directories, extra, func() {
				told = true
				holding.Done()
				holding.Wait()
			})
			if !told {
				holding.Done()
			}
			if err != nil {
				fmt.Println("filtering device which didn't fully initialize:", one.ID, err)
			}
			verified[index] = devices
		}(index, one)
	}
	all.Wait()
	kept := []device{}
	for index, one := range found {
		if len(verified[index]) == 1 && verified[index][0].ID == one.ID {
			kept = append(kept, verified[index][0])
		}
	}
	return kept
}

// Whether as much is free as before, within some seconds.
func recovered(before []device, libraries string) bool {
	begun := time.Now()
	for time.Since(begun) < 5*time.Second {
		same := 0
		for index, now := range allDevices(3*time.Second, libraries) {
			if index < len(before) && now.ID == before[index].ID && now.Free == before[index].Free {
				same++
			}
		}
		if same == len(before) {
			return true
		}
		time.Sleep(250 * time.Millisecond)
	}
	return false
}

func info() {
	libraries := libraries()
	found := allDevices(30*time.Second, libraries)
	fmt.Printf("initial_count=%d\n", len(found))
	devices := verify(found)
	if len(devices) == 0 {
		fmt.Println("inference compute id=cpu library=cpu")
	}
	for index, one := range devices {
		fmt.Printf("inference compute id=%s library=CUDA compute=%s name=%s description=%q driver=%s pci_id=%s total=%d available=%d\n",
			one.ID, one.Compute, one.Name, one.Description, one.Driver, one.PCI, one.Total, one.Free)
		fmt.Printf("held %d, of %d were left %d, before it %d\n", one.Held, one.Total, one.Left, found[index].Free)
	}
	fmt.Printf("memory is back: %v\n", recovered(found, libraries))
}

func discover() {
	libraries := libraries()
	for _, directory := range libraryDirectories(libraries) {
		command := exec.Command(runner(), "gpu-discover", "--lib-dir", libraries, "--lib-dir", directory)
		command.Env = []string{}
		output, err := command.Output()
		devices := []device{}
		if err == nil {
			err = json.Unmarshal(output, &devices)
		}
		fmt.Printf("discover %s: %d devices, error: %v\n", filepath.Base(directory), len(devices), err)
		for _, one := range devices {
			same := one.Native.Name == one.Description && one.Native.Compute == one.Compute &&
				strings.EqualFold(one.Native.PCI, one.PCI)
			fmt.Printf("%s %q compute=%s driver=%s, both libraries agree: %v\n",
				one.Name, one.Description, one.Compute, one.Native.Driver, same)
		}
	}
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "info" {
		info()
	} else if len(os.Args) == 2 && os.Args[1] == "discover" {
		discover()
	} else {
		fail("usage: serve info | discover")
	}
}
