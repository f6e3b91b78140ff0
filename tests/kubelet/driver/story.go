package main

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// The pod: an init container writes a page, "web" serves it, "flaky" loses its health after four seconds once.
const manifest = `apiVersion: v1
kind: Pod
metadata: {name: story, namespace: default, labels: {app: story}}
spec:
  terminationGracePeriodSeconds: 5
  volumes:
  - {name: www, emptyDir: {}}
  - {name: mark, emptyDir: {}}
  initContainers:
  - name: writer
    image: IMAGE
    imagePullPolicy: Never
    command: [sh, -c, 'echo "written by init" > /www/index.html; echo init done']
    volumeMounts: [{name: www, mountPath: /www}]
  containers:
  - name: web
    image: IMAGE
    imagePullPolicy: Never
    command: [sh, -c, 'echo web starts; exec httpd -f -p 8080 -h /www']
    ports: [{containerPort: 8080, hostPort: 18081}]
    resources: {requests: {cpu: 50m, memory: 16Mi}, limits: {memory: 64Mi}}
    volumeMounts: [{name: www, mountPath: /www}]
  - name: flaky
    image: IMAGE
    imagePullPolicy: Never
    command:
    - sh
    - -c
    - |
      trap "echo flaky ends; exit 7" TERM
      touch /tmp/healthy
      if [ -e /mark/once ]; then echo second life; else echo first life; touch /mark/once; sleep 4; rm /tmp/healthy; fi
      while :; do sleep 1; done
    livenessProbe:
      exec: {command: [test, -e, /tmp/healthy]}
      initialDelaySeconds: 1
      periodSeconds: 1
      failureThreshold: 1
    volumeMounts: [{name: mark, mountPath: /mark}]
`

// state is {"running": {…}} or {"waiting": {…}} or {"terminated": {…}}.
type state map[string]json.RawMessage

func (s state) String() string {
	text, _ := json.Marshal(map[string]json.RawMessage(s))
	return string(text)
}

type containerStatus struct {
	Name         string
	Ready        bool
	RestartCount int
	ContainerID  string
	State        state
	LastState    map[string]struct{ ExitCode int }
}

type pod struct {
	Metadata struct{ Name, Namespace, UID string }
	Status   struct {
		Phase                 string
		PodIP                 string
		InitContainerStatuses []containerStatus
		ContainerStatuses     []containerStatus
	}
}

var kubeletClient = http.Client{
	Timeout: 10 * time.Second,
	// kubelet signs its own certificate in a standalone run.
	Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
}

func kubeletGet(path string) (string, error) {
	response, err := kubeletClient.Get("https://127.0.0.1:10250" + path)
	return body(response, err)
}

func body(response *http.Response, err error) (string, error) {
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, strings.TrimSpace(string(text)))
	}
	return string(text), err
}

func findPod() (*pod, error) {
	text, err := kubeletGet("/pods")
	if err != nil {
		return nil, err
	}
	var list struct{ Items []pod }
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, err
	}
	for i := range list.Items {
		if list.Items[i].Metadata.Name == "story-"+nodeName {
			return &list.Items[i], nil
		}
	}
	return nil, fmt.Errorf("kubelet does not list the pod")
}

func (p *pod) container(name string) containerStatus {
	for _, status := range p.Status.ContainerStatuses {
		if status.Name == name {
			return status
		}
	}
	return containerStatus{}
}

func logs(container, options string) (string, error) {
	return kubeletGet("/containerLogs/default/story-" + nodeName + "/" + container + options)
}

func expect(what, got string, err error, wanted string) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if !strings.Contains(got, wanted) {
		return fmt.Errorf("%s: %q does not contain %q", what, got, wanted)
	}
	return nil
}

func get(address string) (string, error) {
	client := http.Client{Timeout: 5 * time.Second}
	response, err := client.Get(address)
	return body(response, err)
}

// Manifests come and go by rename: kubelet would read half of a file that is being written.
func (n *node) putManifest() error {
	text := strings.ReplaceAll(manifest, "IMAGE", image)
	if err := os.WriteFile(n.path("story.yaml"), []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(n.path("story.yaml"), n.path("manifests/story.yaml"))
}

func tellStory(n *node, r *report) {
	var first *pod
	if !r.step("static pod: init container, then two containers run", func() error { return n.podRuns(&first) }) {
		_ = os.Remove(n.path("manifests/story.yaml"))
		return
	}
	r.step("the init container ended with 0, before the others started", func() error { return checkInit(first) })
	r.step("logs through kubelet: init container and web", checkLogs)
	r.step("log files on disk have the form of the CRI", n.checkLogFiles)
	r.step("exec through kubelet (ExecSync): the hostname is the pod's", checkExec)
	r.step("the page is read at the pod's address and at the host port", func() error { return checkPage(first) })
	r.step("stats: kubelet's summary names the pod and its containers", checkSummary)
	r.step("the liveness probe fails and restarts flaky alone", func() error { return checkRestart(first) })
	r.step("logs of flaky's first life are kept, its second life has its own", checkBothLives)
	r.step("kill -9 of huskd, a new huskd: the same containers, no restart", n.checkDaemonRestart)
	r.step("the manifest is removed: kubelet forgets the pod", n.removePod)
	r.step("containers, mounts, network, cgroups, records, logs of the pod are gone", func() error {
		// kubelet removes sandboxes in its garbage collection, once a minute.
		return waitFor(150*time.Second, "removal", func() error {
			found, err := n.podLeftovers()
			if err != nil {
				return err
			}
			return asError(found)
		})
	})
}

func (n *node) podRuns(first **pod) error {
	if err := n.putManifest(); err != nil {
		return err
	}
	return waitFor(60*time.Second, "running containers", func() error {
		p, err := findPod()
		if err != nil {
			return err
		}
		for _, name := range []string{"web", "flaky"} {
			if _, ok := p.container(name).State["running"]; !ok {
				return fmt.Errorf("%s does not run; pod %s, init %v, containers %v", name, p.Status.Phase,
					p.Status.InitContainerStatuses, p.Status.ContainerStatuses)
			}
		}
		*first = p
		return nil
	})
}

func checkInit(p *pod) error {
	if len(p.Status.InitContainerStatuses) != 1 {
		return fmt.Errorf("init containers: %+v", p.Status.InitContainerStatuses)
	}
	var ended struct {
		ExitCode   int
		FinishedAt time.Time
	}
	if err := json.Unmarshal(p.Status.InitContainerStatuses[0].State["terminated"], &ended); err != nil {
		return fmt.Errorf("it has not terminated: %w", err)
	}
	var started struct{ StartedAt time.Time }
	if err := json.Unmarshal(p.container("web").State["running"], &started); err != nil {
		return err
	}
	if ended.ExitCode != 0 || ended.FinishedAt.After(started.StartedAt) {
		return fmt.Errorf("exit code %d at %v, web started at %v", ended.ExitCode, ended.FinishedAt, started.StartedAt)
	}
	return nil
}

func checkLogs() error {
	return waitFor(10*time.Second, "logs", func() error {
		text, err := logs("writer", "")
		if err := expect("writer", text, err, "init done\n"); err != nil {
			return err
		}
		text, err = logs("web", "")
		return expect("web", text, err, "web starts\n")
	})
}

var criLine = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(Z|[+-]\d\d:\d\d) stdout F web starts\n$`)

func (n *node) checkLogFiles() error {
	files, err := filepath.Glob("/var/log/pods/default_story-" + nodeName + "_*/web/0.log")
	if err != nil || len(files) != 1 {
		return fmt.Errorf("log files: %v %v", files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		return err
	}
	if !criLine.Match(text) {
		return fmt.Errorf("%s: %q", files[0], text)
	}
	return nil
}

func checkExec() error {
	address := "https://127.0.0.1:10250/run/default/story-" + nodeName + "/web?cmd=hostname"
	response, err := kubeletClient.Post(address, "text/plain", nil)
	text, err := body(response, err)
	return expect("exec", text, err, "story-"+nodeName)
}

func checkPage(p *pod) error {
	for _, address := range []string{"http://" + p.Status.PodIP + ":8080/", "http://127.0.0.1:18081/",
		"http://192.0.2.1:18081/"} {
		text, err := get(address)
		if err := expect(address, text, err, "written by init"); err != nil {
			return err
		}
	}
	return nil
}

func checkSummary() error {
	return waitFor(30*time.Second, "summary", func() error {
		text, err := kubeletGet("/stats/summary")
		if err != nil {
			return err
		}
		var summary struct {
			Pods []struct {
				PodRef     struct{ Name string }
				Containers []struct{ Name string }
			}
		}
		if err := json.Unmarshal([]byte(text), &summary); err != nil {
			return err
		}
		for _, one := range summary.Pods {
			if one.PodRef.Name == "story-"+nodeName && len(one.Containers) >= 2 {
				return nil
			}
		}
		return fmt.Errorf("pods in the summary: %+v", summary.Pods)
	})
}

func checkRestart(first *pod) error {
	return waitFor(60*time.Second, "restart of flaky", func() error {
		p, err := findPod()
		if err != nil {
			return err
		}
		flaky, web := p.container("flaky"), p.container("web")
		if _, ok := flaky.State["running"]; !ok || flaky.RestartCount != 1 {
			return fmt.Errorf("flaky: restarts %d, state %v", flaky.RestartCount, flaky.State)
		}
		if web.RestartCount != 0 || web.ContainerID != first.container("web").ContainerID {
			return fmt.Errorf("web was touched: %v", web)
		}
		if code := flaky.LastState["terminated"].ExitCode; code != 7 {
			return fmt.Errorf("the exit code of the first life is %d instead of 7", code)
		}
		return nil
	})
}

func checkBothLives() error {
	return waitFor(10*time.Second, "logs", func() error {
		text, err := logs("flaky", "?previous=true")
		if err := expect("first life", text, err, "first life\nflaky ends\n"); err != nil {
			return err
		}
		text, err = logs("flaky", "")
		return expect("second life", text, err, "second life\n")
	})
}

func (n *node) checkDaemonRestart() error {
	before, err := findPod()
	if err != nil {
		return err
	}
	if err := n.killHuskd(); err != nil {
		return err
	}
	if err := os.Remove(n.path("state/huskd.sock")); err != nil && !os.IsNotExist(err) {
		return err
	}
	if err := n.startHuskd(); err != nil {
		return err
	}
	// A changed container would show within a few rounds of kubelet's relisting (1 s each).
	settled := time.Now().Add(5 * time.Second)
	return waitFor(40*time.Second, "steady pod", func() error {
		after, err := findPod()
		if err != nil {
			return err
		}
		for _, name := range []string{"web", "flaky"} {
			was, is := before.container(name), after.container(name)
			if was.ContainerID != is.ContainerID || was.RestartCount != is.RestartCount {
				return fmt.Errorf("%s changed: %v", name, is)
			}
			if _, ok := is.State["running"]; !ok {
				return fmt.Errorf("%s does not run: %v", name, is)
			}
		}
		if time.Now().Before(settled) {
			return fmt.Errorf("not yet observed long enough")
		}
		return checkPage(after)
	})
}

func (n *node) removePod() error {
	if err := os.Remove(n.path("manifests/story.yaml")); err != nil {
		return err
	}
	return waitFor(60*time.Second, "kubelet's list without the pod", func() error {
		text, err := kubeletGet("/pods")
		if err != nil {
			return err
		}
		if strings.Contains(text, "story-"+nodeName) {
			return fmt.Errorf("the pod is still listed")
		}
		return nil
	})
}
