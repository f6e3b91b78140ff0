// The driver of the kubelet suite: prepares a node inside the namespaces that `run` made, starts huskd and
// kubelet, and tells the story of one static pod, one line a step.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"
)

// A step that fails ends the story, except that the clean-up is still checked.
type report struct {
	passed, failed, skipped int
}

func (r *report) step(name string, work func() error) bool {
	start := time.Now()
	err := work()
	took := time.Since(start).Round(time.Millisecond)
	if err != nil {
		r.failed++
		fmt.Printf("FAIL  %-72s %v\n      %v\n", name, took, err)
		return false
	}
	r.passed++
	fmt.Printf("ok    %-72s %v\n", name, took)
	return true
}

func main() {
	work := flag.String("work", "", "private directory")
	bin := flag.String("bin", "", "directory of Husk's programs")
	kubelet := flag.String("kubelet", "", "the kubelet program")
	flag.Parse()
	n := newNode(*work, *bin, *kubelet)
	r := &report{}
	good := r.step("prepare the node: uplink, private sysctls, cgroup", n.prepare) &&
		r.step("import an image from busybox-static", n.importImage) &&
		r.step("start huskd", n.startHuskd) &&
		r.step("start kubelet 1.36.3; it calls itself healthy", n.startKubelet)
	if good {
		tellStory(n, r)
	}
	r.step("stop kubelet and huskd", n.stop)
	r.step("nothing is left: processes, mounts, network namespaces, cgroups", n.checkNothingLeft)
	if r.failed > 0 {
		n.showLogs()
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skipped)
	if r.failed > 0 {
		os.Exit(1)
	}
}
