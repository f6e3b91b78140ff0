package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// The process namespace is ours alone: whoever is in it besides its init (a shell, see `run`), the driver and
// the two programs was left behind.
func (n *node) strangers() ([]string, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var found []string
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == 1 || pid == os.Getpid() || n.isProgram(pid) {
			continue
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue // ended meanwhile
		}
		found = append(found, "process "+strings.Join(strings.Fields(string(status))[:3], " "))
	}
	return found, nil
}

func (n *node) isProgram(pid int) bool { return pid == n.huskd.pid() || pid == n.kubelet.pid() }

// podLeftovers is what a removed pod must not leave, whether the programs still run or not.
func (n *node) podLeftovers() ([]string, error) {
	found, err := n.strangers()
	if err != nil {
		return nil, err
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	for _, line := range strings.Split(string(mounts), "\n") {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		target := fields[4]
		if strings.HasPrefix(target, n.path("root")) || strings.HasPrefix(target, n.path("state")) ||
			strings.HasPrefix(target, "/var/lib/kubelet/pods") {
			found = append(found, "mount "+target)
		}
	}
	for _, pattern := range []string{"state/netns/*", "state/pods/*", "root/network/pods/*", "root/records/pods/*",
		"root/records/containers/*", "log/pods/*", "log/containers/*"} {
		names, err := filepath.Glob(n.path(pattern))
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			found = append(found, "file "+name)
		}
	}
	interfaces, err := os.ReadFile("/proc/self/net/dev")
	if err != nil {
		return nil, err
	}
	for _, line := range strings.Split(string(interfaces), "\n") {
		if name := strings.TrimSpace(line); strings.HasPrefix(name, "veth") {
			found = append(found, "interface "+strings.SplitN(name, ":", 2)[0])
		}
	}
	cgroups, err := n.podCgroups()
	return append(found, cgroups...), err
}

func (n *node) podCgroups() ([]string, error) {
	directories, err := n.cgroupDirectories()
	if err != nil {
		return nil, err
	}
	var found []string
	for _, directory := range directories {
		for _, pattern := range []string{"kubepods/pod*", "kubepods/*/pod*"} {
			names, err := filepath.Glob(filepath.Join(directory, pattern))
			if err != nil {
				return nil, err
			}
			for _, name := range names {
				found = append(found, "cgroup "+name)
			}
		}
		husk := filepath.Join(filepath.Dir(directory), "husk")
		if names, _ := filepath.Glob(filepath.Join(husk, "*"+n.cgroup+"*")); len(names) > 0 {
			found = append(found, names...)
		}
	}
	return found, nil
}

func asError(found []string) error {
	if len(found) == 0 {
		return nil
	}
	const shown = 12
	if len(found) > shown {
		found = append(found[:shown:shown], fmt.Sprintf("… and %d more", len(found)-shown))
	}
	return fmt.Errorf("left behind: %s", strings.Join(found, ", "))
}

func (n *node) checkNothingLeft() error {
	n.huskd, n.kubelet = nil, nil
	found, err := n.podLeftovers()
	if err != nil {
		return err
	}
	directories, err := n.cgroupDirectories()
	if err != nil {
		return err
	}
	// kubelet keeps its own cgroups (kubepods, burstable, besteffort): they are removed here, and must be empty.
	for _, directory := range directories {
		if err := removeCgroup(directory); err != nil {
			found = append(found, err.Error())
		}
	}
	return asError(found)
}

func removeCgroup(directory string) error {
	entries, err := os.ReadDir(directory)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := removeCgroup(filepath.Join(directory, entry.Name())); err != nil {
				return err
			}
		}
	}
	return os.Remove(directory)
}
