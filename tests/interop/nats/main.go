// A NATS server with JetStream, for comparisons of speed: `nats PORT STORE`.
package main

import (
	"fmt"
	"os"
	"strconv"

	"github.com/nats-io/nats-server/v2/server"
)

func main() {
	port, err := strconv.Atoi(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "the port is no number:", err)
		os.Exit(2)
	}
	nats, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: os.Args[2], NoSigs: true,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "it cannot be started:", err)
		os.Exit(1)
	}
	nats.ConfigureLogger()
	nats.Start()
	nats.WaitForShutdown()
}
