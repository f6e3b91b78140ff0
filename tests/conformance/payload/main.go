// Payload of the test images: a small static program that plays the roles which critest's images have.
// By the name it is started with: nginx or httpd serve a page (PORT, default 80) and write their pid;
// nnp prints its effective uid through the set-uid bit.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func serve(name string) {
	port := os.Getenv("PORT")
	if port == "" {
		port = "80"
	}
	_ = os.MkdirAll("/var/run", 0o755)
	pid := filepath.Join("/var/run", name+".pid")
	if err := os.WriteFile(pid, []byte(fmt.Sprintf("%d\n", os.Getpid())), 0o644); err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "<html><title>Welcome to nginx!</title><body>It works!</body></html>")
	})
	log.Printf("%s: serving on port %s", name, port)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT)
	go func() { <-stop; os.Exit(0) }()
	log.Fatal(http.ListenAndServe(":"+port, nil))
}

func main() {
	switch name := filepath.Base(os.Args[0]); name {
	case "nnp":
		fmt.Printf("Effective uid: %d\n", os.Geteuid())
	case "nginx", "httpd":
		serve(name)
	default:
		fmt.Fprintf(os.Stderr, "payload: no role %q\n", name)
		os.Exit(2)
	}
}
