package config_test

import (
	"fmt"

	"github.com/narrowcast/narrowcast/pkg/config"
)

func Example() {
	budget, err := config.ParseBytes("1.5GiB")
	fmt.Println(budget, int64(budget), err)
	fmt.Printf("%+v\n", struct{ Password config.Secret }{config.NewSecret("tell nobody")})
	// Output:
	// 1536MiB 1610612736 <nil>
	// {Password:******}
}
