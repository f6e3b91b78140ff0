// Makes the images that critest names, from Debian's busybox (not -static: that one's shell runs applets
// inside itself, and masking /bin/ls would mean nothing), util-linux's ipcs and the payload program,
// and pushes them to a registry on this machine. Only the digest-pinned image of critest cannot be made.
//
//	go run ./images -registry 127.0.0.1:5000 -busybox /bin/busybox -payload FILE -pause FILE
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/exec"
	"sort"
	"strings"
	"time"
)

type file struct {
	mode int64
	hard string // hard link target, a path in the same layer
	data []byte
}

type tree map[string]file

type image struct {
	repo, tag  string
	files      tree
	user       string
	entrypoint []string
	cmd        []string
	env        []string
	stopSignal string
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func read(path string) []byte {
	data, err := os.ReadFile(path)
	must(err)
	return data
}

// A program and the libraries it is linked with, at their own paths.
func withLibraries(files tree, path string) {
	files[path[1:]] = file{mode: 0o755, data: read(path)}
	out, _ := exec.Command("ldd", path).Output() // fails for a static program, which needs none
	for _, word := range strings.Fields(string(out)) {
		if strings.HasPrefix(word, "/") {
			files[strings.TrimPrefix(word, "/")] = file{mode: 0o755, data: read(word)}
		}
	}
}

func busyboxTree(path string) tree {
	files := tree{}
	withLibraries(files, path)
	out, err := exec.Command(path, "--list").Output()
	must(err)
	for _, applet := range strings.Fields(string(out)) {
		if applet != "busybox" {
			// Hard links, as in busybox's own image: critest masks /bin/ls and then runs sh.
			files["bin/"+applet] = file{hard: "bin/busybox"}
		}
	}
	delete(files, path[1:])
	files["bin/busybox"] = file{mode: 0o755, data: read(path)}
	delete(files, "bin/ipcs")
	withLibraries(files, "/usr/bin/ipcs")
	withLibraries(files, "/usr/bin/pgrep")
	files["etc/passwd"] = file{mode: 0o644, data: []byte("root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\n" +
		"www-data:x:33:33:www-data:/var/www:/bin/false\nnobody:x:65534:65534:nobody:/home:/bin/false\n")}
	files["etc/group"] = file{mode: 0o644, data: []byte("root:x:0:\ndaemon:x:1:\nwww-data:x:33:\nnogroup:x:65534:\n")}
	return files
}

func (t tree) with(more tree) tree {
	merged := tree{}
	for name, f := range t {
		merged[name] = f
	}
	for name, f := range more {
		merged[name] = f
	}
	return merged
}

func layer(files tree) (compressed, plain []byte) {
	var raw bytes.Buffer
	w := tar.NewWriter(&raw)
	directories := map[string]bool{}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
		for i, c := range name {
			if c == '/' {
				directories[name[:i]] = true
			}
		}
	}
	for _, extra := range []string{"tmp", "root", "proc", "sys", "dev", "var/run", "home", "run"} {
		parts := strings.Split(extra, "/")
		for i := range parts {
			directories[strings.Join(parts[:i+1], "/")] = true
		}
	}
	sorted := make([]string, 0, len(directories))
	for d := range directories {
		sorted = append(sorted, d)
	}
	sort.Strings(sorted)
	for _, d := range sorted {
		mode := int64(0o755)
		if d == "tmp" {
			mode = 0o1777
		}
		must(w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: d + "/", Mode: mode}))
	}
	// A hard link comes after its target.
	sort.Slice(names, func(i, j int) bool {
		a, b := files[names[i]].hard != "", files[names[j]].hard != ""
		return a != b && b || a == b && names[i] < names[j]
	})
	for _, name := range names {
		f := files[name]
		if f.hard != "" {
			must(w.WriteHeader(&tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: f.hard, Mode: 0o755}))
			continue
		}
		must(w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: f.mode, Size: int64(len(f.data))}))
		_, err := w.Write(f.data)
		must(err)
	}
	must(w.Close())
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	must(err)
	_, err = z.Write(raw.Bytes())
	must(err)
	must(z.Close())
	return packed.Bytes(), raw.Bytes()
}

func digest(data []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(data)) }

func request(method, url, contentType string, body []byte, want ...int) *http.Response {
	r, err := http.NewRequest(method, url, bytes.NewReader(body))
	must(err)
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	reply, err := http.DefaultClient.Do(r)
	must(err)
	text, _ := io.ReadAll(reply.Body)
	must(reply.Body.Close())
	for _, status := range want {
		if reply.StatusCode == status {
			return reply
		}
	}
	log.Fatalf("%s %s: %s %s", method, url, reply.Status, text)
	return nil
}

func pushBlob(base, repo string, data []byte) string {
	d := digest(data)
	head := request(http.MethodHead, base+"/v2/"+repo+"/blobs/"+d, "", nil, 200, 404)
	if head.StatusCode == 200 {
		return d
	}
	start := request(http.MethodPost, base+"/v2/"+repo+"/blobs/uploads/", "", nil, 202)
	location := start.Header.Get("Location")
	separator := "?"
	if strings.Contains(location, "?") {
		separator = "&"
	}
	request(http.MethodPut, location+separator+"digest="+d, "application/octet-stream", data, 201)
	return d
}

type object = map[string]any

func push(base string, i image, layers map[string][2][]byte) {
	key := fmt.Sprintf("%p", i.files)
	if _, made := layers[key]; !made {
		packed, plain := layer(i.files)
		layers[key] = [2][]byte{packed, plain}
	}
	packed, plain := layers[key][0], layers[key][1]
	config := object{"architecture": "amd64", "os": "linux", "created": "2026-01-01T00:00:00Z",
		"config": object{"User": i.user, "Entrypoint": i.entrypoint, "Cmd": i.cmd, "StopSignal": i.stopSignal,
			"Env":    append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, i.env...),
			"Labels": object{"husk.test/image": i.repo}},
		"rootfs": object{"type": "layers", "diff_ids": []string{digest(plain)}}}
	configText, err := json.Marshal(config)
	must(err)
	manifest, err := json.Marshal(object{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": object{"mediaType": "application/vnd.oci.image.config.v1+json", "digest": pushBlob(base, i.repo, configText), "size": len(configText)},
		"layers": []object{{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": pushBlob(base, i.repo, packed), "size": len(packed)}}})
	must(err)
	request(http.MethodPut, base+"/v2/"+i.repo+"/manifests/"+i.tag, "application/vnd.oci.image.manifest.v1+json", manifest, 201)
}

func main() {
	registry := flag.String("registry", "127.0.0.1:5000", "where to push")
	busybox := flag.String("busybox", "/bin/busybox", "static busybox")
	payload := flag.String("payload", "", "static payload program")
	pause := flag.String("pause", "", "static pause program")
	flag.Parse()
	began := time.Now()
	base := "http://" + *registry

	box := busyboxTree(*busybox)
	program := read(*payload)
	web := box.with(tree{"usr/sbin/nginx": {mode: 0o755, data: program}, "usr/local/bin/httpd": {mode: 0o755, data: program}})
	nnp := box.with(tree{"nnp": {mode: 0o4755, data: program}})
	group := box.with(tree{
		"etc/passwd": {mode: 0o644, data: append(append([]byte{}, box["etc/passwd"].data...), "default-user:x:1000:1000::/home/default-user:/bin/sh\n"...)},
		"etc/group":  {mode: 0o644, data: append(append([]byte{}, box["etc/group"].data...), "default-user:x:1000:\ngroup-defined-in-image:x:50000:default-user\n"...)}})
	pauseTree := tree{"pause": {mode: 0o755, data: read(*pause)}}
	// Not the same image: critest removes 3.9, while 3.10 is the one that pods run.
	newPause := pauseTree.with(tree{"version": {mode: 0o644, data: []byte("3.10\n")}})

	sh := []string{"sh"}
	cri := "k8s-staging-cri-tools/"
	e2e := "e2e-test-images/"
	images := []image{
		{repo: e2e + "busybox", tag: "1.29-2", files: box, cmd: sh},
		{repo: "library/busybox", tag: "latest", files: box, cmd: sh},
		{repo: e2e + "nginx", tag: "1.14-2", files: web, cmd: []string{"nginx", "-g", "master process on;"}, stopSignal: "SIGQUIT"},
		{repo: e2e + "httpd", tag: "2.4.39-4", files: web, cmd: []string{"/usr/local/bin/httpd"}},
		{repo: e2e + "nonewprivs", tag: "1.3", files: nnp, entrypoint: []string{"/nnp"}},
		{repo: "pause", tag: "3.9", files: pauseTree, entrypoint: []string{"/pause"}},
		{repo: "pause", tag: "3.10", files: newPause, entrypoint: []string{"/pause"}},
		{repo: cri + "test-image-latest", tag: "latest", files: box.with(tree{"test-image-latest": {mode: 0o644, data: []byte("latest\n")}}), cmd: sh},
		{repo: cri + "test-image-tag", tag: "test", files: box.with(tree{"test-image-tag": {mode: 0o644, data: []byte("tag\n")}}), cmd: sh},
		{repo: cri + "test-image-tag", tag: "all", files: box.with(tree{"test-image-all": {mode: 0o644, data: []byte("all\n")}}), cmd: sh},
		{repo: cri + "test-image-user-uid", tag: "latest", files: box, user: "1002", cmd: sh},
		{repo: cri + "test-image-user-username", tag: "latest", files: box, user: "www-data", cmd: sh},
		{repo: cri + "test-image-user-uid-group", tag: "latest", files: box, user: "1003:users", cmd: sh},
		{repo: cri + "test-image-user-username-group", tag: "latest", files: box, user: "www-data:100", cmd: sh},
		{repo: cri + "test-image-predefined-group", tag: "latest", files: group, user: "1000", cmd: sh},
		{repo: cri + "hostnet-nginx-amd64", tag: "latest", files: web, cmd: []string{"nginx", "-g", "master process on;"}, env: []string{"PORT=12003"}},
	}
	for n := 1; n <= 3; n++ {
		name := fmt.Sprintf("test-image-%d", n)
		images = append(images, image{repo: cri + name, tag: "latest", files: box.with(tree{name: {mode: 0o644, data: []byte(name)}}), cmd: sh})
	}
	tags := box.with(tree{"test-image-tags": {mode: 0o644, data: []byte("tags\n")}})
	for _, tag := range []string{"1", "2", "3"} {
		images = append(images, image{repo: cri + "test-image-tags", tag: tag, files: tags, cmd: sh})
	}
	layers := map[string][2][]byte{}
	for _, i := range images {
		push(base, i, layers)
	}
	fmt.Printf("%d images pushed to %s in %s\n", len(images), *registry, time.Since(began).Round(time.Millisecond))
}
