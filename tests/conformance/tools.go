//go:build tools

// Pins critest's packages as test tools; nothing here is linked into Husk.
package tools

import (
	_ "sigs.k8s.io/cri-tools/pkg/benchmark"
	_ "sigs.k8s.io/cri-tools/pkg/validate"
)
