//go:build tools

// Package tools pins the programs that the kubelet suite builds.
package tools

import (
	_ "k8s.io/kubernetes/cmd/kubelet/app"
)
