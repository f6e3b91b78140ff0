package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	image    = "localhost/busytest:1"
	nodeName = "node"
)

// node is one machine: huskd and kubelet on directories of their own.
type node struct {
	work, bin, kubeletProgram string
	cgroup                    string // name of the node's cgroup in every hierarchy
	huskd, kubelet            *program
}

// program is one that runs; `ended` is closed when it does not any more.
type program struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

func (p *program) pid() int {
	if p == nil {
		return -1
	}
	return p.cmd.Process.Pid
}

func newNode(work, bin, kubelet string) *node {
	return &node{work: work, bin: bin, kubeletProgram: kubelet, cgroup: filepath.Base(work)}
}

func (n *node) path(name string) string { return filepath.Join(n.work, name) }
func (n *node) socket() string          { return "unix://" + n.path("state/huskd.sock") }

func command(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// kubelet writes these for the whole machine: it gets private files instead.
var globalSysctls = []string{"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
	"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes"}

func (n *node) prepare() error {
	// A second plain proc: without one, proc cannot be mounted in user namespaces once files are bound over
	// the first (the kernel asks for a proc that nothing covers).
	for _, directory := range []string{"proc", "sysctl", "kubelet", "log", "manifests", "plugins", "root", "state"} {
		if err := os.MkdirAll(n.path(directory), 0o755); err != nil {
			return err
		}
	}
	if err := command("mount", "-t", "proc", "proc", n.path("proc")); err != nil {
		return err
	}
	for i, name := range globalSysctls {
		text, err := os.ReadFile("/proc/sys/" + name)
		if err != nil {
			return err
		}
		private := n.path(fmt.Sprintf("sysctl/%d", i))
		if err := os.WriteFile(private, text, 0o644); err != nil {
			return err
		}
		if err := command("mount", "--bind", private, "/proc/sys/"+name); err != nil {
			return err
		}
	}
	for _, bind := range [][2]string{{"kubelet", "/var/lib/kubelet"}, {"log", "/var/log"}} {
		if err := command("mount", "--bind", n.path(bind[0]), bind[1]); err != nil {
			return err
		}
		// Volumes of pods must be able to propagate, as on a real machine.
		if err := command("mount", "--make-rshared", bind[1]); err != nil {
			return err
		}
	}
	for _, args := range []string{"link set lo up", "link add uplink0 type veth peer name uplink1",
		"address add 192.0.2.1/24 dev uplink0", "link set uplink0 up", "link set uplink1 up",
		"route add default via 192.0.2.254"} {
		if err := command("ip", strings.Fields(args)...); err != nil {
			return err
		}
	}
	return n.makeCgroups()
}

// cgroupDirectories gives the node's directory in every mounted hierarchy.
func (n *node) cgroupDirectories() ([]string, error) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil, err
	}
	var found []string
	for _, line := range strings.Split(string(mounts), "\n") {
		fields := strings.Fields(line)
		if len(fields) > 2 && (fields[2] == "cgroup" || fields[2] == "cgroup2") {
			found = append(found, filepath.Join(fields[1], n.cgroup))
		}
	}
	return found, nil
}

func (n *node) makeCgroups() error {
	directories, err := n.cgroupDirectories()
	if err != nil {
		return err
	}
	for _, directory := range directories {
		if err := os.MkdirAll(directory, 0o755); err != nil {
			return err
		}
		// A new cpuset of v1 is empty, and nothing can run in it, until it has both.
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			text, err := os.ReadFile(filepath.Join(filepath.Dir(directory), file))
			if err != nil {
				continue // another controller
			}
			if err := os.WriteFile(filepath.Join(directory, file), bytes.TrimSpace(text), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

func (n *node) importImage() error {
	tree := n.path("tree")
	for _, directory := range []string{"bin", "etc", "tmp", "proc", "sys", "dev", "www"} {
		if err := os.MkdirAll(filepath.Join(tree, directory), 0o755); err != nil {
			return err
		}
	}
	if err := command("cp", "/bin/busybox", filepath.Join(tree, "bin/busybox")); err != nil {
		return err
	}
	applets, err := exec.Command("/bin/busybox", "--list").Output()
	if err != nil {
		return err
	}
	for _, applet := range strings.Fields(string(applets)) {
		if applet != "busybox" {
			if err := os.Symlink("busybox", filepath.Join(tree, "bin", applet)); err != nil {
				return err
			}
		}
	}
	if err := os.WriteFile(filepath.Join(tree, "etc/passwd"), []byte("root:x:0:0:root:/:/bin/sh\n"), 0o644); err != nil {
		return err
	}
	return command(filepath.Join(n.bin, "husk-image"), "--root", n.path("root"), "import", tree, image)
}

// start runs a program with its output in a log of the work directory.
func (n *node) start(log, path string, args ...string) (*program, error) {
	file, err := os.OpenFile(n.path(log), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	started := &program{cmd: exec.Command(path, args...), ended: make(chan struct{})}
	started.cmd.Stdout, started.cmd.Stderr = file, file
	if err := started.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = started.cmd.Wait()
		close(started.ended)
	}()
	return started, nil
}

func (n *node) startHuskd() error {
	config := "[network]\nbridge = \"husktest0\"\nsubnet = \"10.99.0.0/24\"\ntable = \"husktest\"\n"
	if err := os.WriteFile(n.path("huskd.toml"), []byte(config), 0o644); err != nil {
		return err
	}
	var err error
	n.huskd, err = n.start("huskd.log", filepath.Join(n.bin, "huskd"), "--config", n.path("huskd.toml"),
		"--root", n.path("root"), "--state", n.path("state"), "--listen", n.socket())
	if err != nil {
		return err
	}
	return n.huskd.waitFor(20*time.Second, "huskd's socket", func() error {
		_, err := os.Stat(n.path("state/huskd.sock"))
		return err
	})
}

const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupRoot: /%[1]s
containerRuntimeEndpoint: %[2]s
staticPodPath: %[3]s
volumePluginDir: %[4]s
address: 127.0.0.1
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
failSwapOn: false
maxOpenFiles: 20000
fileCheckFrequency: 1s
syncFrequency: 2s
makeIPTablesUtilChains: false
evictionHard: {memory.available: 1Mi}
`

func (n *node) startKubelet() error {
	config := fmt.Sprintf(kubeletConfig, n.cgroup, n.socket(), n.path("manifests"), n.path("plugins"))
	if err := os.WriteFile(n.path("kubelet.yaml"), []byte(config), 0o644); err != nil {
		return err
	}
	var err error
	// Without --node-ip kubelet looks its own name up in the DNS, which takes ten seconds where there is none.
	n.kubelet, err = n.start("kubelet.log", n.kubeletProgram, "--config", n.path("kubelet.yaml"),
		"--hostname-override", nodeName, "--node-ip", "192.0.2.1", "--v", "2")
	if err != nil {
		return err
	}
	return n.kubelet.waitFor(60*time.Second, "kubelet's healthz", func() error {
		response, err := http.Get("http://127.0.0.1:10248/healthz")
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("healthz: %s", response.Status)
		}
		return nil
	})
}

func (p *program) stop(signal syscall.Signal) error {
	if p == nil {
		return nil
	}
	if err := p.cmd.Process.Signal(signal); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(p.cmd.Path), err)
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill()
		return fmt.Errorf("%s did not end within 20 s of signal %d", filepath.Base(p.cmd.Path), signal)
	}
}

func (n *node) killHuskd() error { return n.huskd.stop(syscall.SIGKILL) }

func (n *node) stop() error {
	err := n.kubelet.stop(syscall.SIGTERM)
	if other := n.huskd.stop(syscall.SIGTERM); err == nil {
		err = other
	}
	return err
}

// waitFor asks again and again; the last answer is the error. It gives up at once when the program ends.
func (p *program) waitFor(limit time.Duration, what string, check func() error) error {
	deadline := time.After(limit)
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended: %s", filepath.Base(p.cmd.Path), p.cmd.ProcessState)
		case <-deadline:
			return fmt.Errorf("%s: not within %v: %w", what, limit, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func waitFor(limit time.Duration, what string, check func() error) error {
	return (&program{}).waitFor(limit, what, check)
}

func (n *node) showLogs() {
	for _, name := range []string{"huskd.log", "kubelet.log"} {
		text, err := os.ReadFile(n.path(name))
		if err != nil {
			continue
		}
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		if len(lines) > 15 {
			lines = lines[len(lines)-15:]
		}
		fmt.Printf("-- last lines of %s\n%s\n", name, strings.Join(lines, "\n"))
	}
}
