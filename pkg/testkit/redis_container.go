package testkit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"
)

// removeContainer is the watcher of a container: it removes the container when its input, held from this process, ends.
const removeContainer = `cat >/dev/null; docker rm -f -v "$1" >/dev/null 2>&1; exit 0`

// startContainer starts Redis in a container. Where the reaper that testcontainers brings is switched off, a watcher removes the
// container when this process ends.
func startContainer() (b *backend, err error) {
	// Looking for a container engine panics in the library where none is configured.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("start container: %v", r)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()

	image := cmp.Or(os.Getenv("NARROWCAST_TEST_REDIS_IMAGE"), "redis:7")
	c, err := testcontainers.Run(ctx, image,
		testcontainers.WithCmd("redis-server", "--save", "", "--appendonly", "no"),
		testcontainers.WithExposedPorts("6379/tcp"),
		testcontainers.WithWaitStrategy(wait.ForLog("Ready to accept connections"), wait.ForListeningPort("6379/tcp")),
	)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start container of %s: %w", image, err), testcontainers.TerminateContainer(c))
	}
	addr, err := c.PortEndpoint(ctx, "6379/tcp", "")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("find the container's port: %w", err), testcontainers.TerminateContainer(c))
	}
	release := func() error { return nil }
	if os.Getenv("TESTCONTAINERS_RYUK_DISABLED") == "true" {
		if release, err = watchContainer(c.GetContainerID()); err != nil {
			return nil, errors.Join(err, testcontainers.TerminateContainer(c))
		}
	}
	stop := func() error { return errors.Join(testcontainers.TerminateContainer(c), release()) }
	return &backend{addr: addr, stop: stop}, nil
}

func watchContainer(id string) (func() error, error) {
	cmd := exec.Command("/bin/sh", "-c", removeContainer, "sh", id)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("watch container: %w", err)
	}
	return func() error { return errors.Join(in.Close(), cmd.Wait()) }, nil
}
