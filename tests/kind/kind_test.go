// kind-config.yaml, read, checked and carried out by kind itself, up to where Kubernetes would start: in place of Docker is this
// very program, which remembers what it was asked for.
package kind

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pelletier/go-toml"
	"sigs.k8s.io/kind/pkg/apis/config/defaults"
	"sigs.k8s.io/kind/pkg/cluster"
	"sigs.k8s.io/kind/pkg/log"
)

const (
	configFile = "../../kind-config.yaml"
	// Says to the stand-in where it writes down what it is asked for.
	recordVariable = "DOCKER_RECORD"
	beyond         = "nobody runs Kubernetes here"
)

func TestMain(m *testing.M) {
	if folder := os.Getenv(recordVariable); folder != "" && filepath.Base(os.Args[0]) == "docker" {
		os.Exit(docker(folder, os.Args[1:]))
	}
	os.Exit(m.Run())
}

// docker answers as the engine does, as far as kind asks until the configuration of all nodes is written.
func docker(folder string, arguments []string) int {
	is := func(words ...string) bool {
		return len(arguments) >= len(words) && slices.Equal(arguments[:len(words)], words)
	}
	asked := strings.Join(arguments, " ")
	switch {
	case is("info"):
		fmt.Println(`{"CgroupDriver": "systemd", "CgroupVersion": "2", "MemoryLimit": true, "PidsLimit": true, "CPUShares": true}`)
	case is("network", "inspect"):
		fmt.Println("172.18.0.0/16")
	case is("inspect", "--type=image"), is("network"), is("rm"):
	case is("run"):
		name := value(arguments, "--name")
		write(folder, "node-"+name, arguments)
	case is("logs"):
		fmt.Println("[  OK  ] Reached target Multi-User System.")
	case is("ps"):
		nodes, _ := filepath.Glob(filepath.Join(folder, "node-*"))
		for _, node := range nodes {
			fmt.Println(strings.TrimPrefix(filepath.Base(node), "node-"))
		}
	case is("inspect") && strings.Contains(asked, "io.x-k8s.kind.role"):
		fmt.Println(roleOf(arguments[len(arguments)-1]))
	case is("inspect") && strings.Contains(asked, "IPAddress"):
		fmt.Println("172.18.0.2,")
	case is("exec") && strings.HasSuffix(asked, " cat /kind/version"):
		fmt.Println(strings.TrimPrefix(strings.Split(defaults.Image, "@")[0], "kindest/node:"))
	case is("exec") && strings.HasSuffix(asked, " cat /etc/containerd/config.toml"):
		config, err := os.ReadFile(filepath.Join(folder, "config.toml"))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		os.Stdout.Write(config)
	case is("exec") && strings.HasSuffix(asked, " cp /dev/stdin /etc/containerd/config.toml"):
		config, err := io.ReadAll(os.Stdin)
		if err != nil {
			return 1
		}
		write(folder, "containerd-"+arguments[slices.Index(arguments, "cp")-1], string(config))
	case is("exec") && strings.Contains(asked, " cp /dev/stdin "), is("exec") && strings.Contains(asked, " mkdir "),
		is("exec") && strings.Contains(asked, "systemctl restart containerd"):
	default:
		fmt.Fprintln(os.Stderr, beyond)
		return 1
	}
	return 0
}

func roleOf(node string) string {
	if strings.Contains(node, "control-plane") {
		return "control-plane"
	}
	return "worker"
}

func value(arguments []string, flag string) string {
	at := slices.Index(arguments, flag)
	if at < 0 || at+1 == len(arguments) {
		return ""
	}
	return arguments[at+1]
}

func write(folder, name string, what any) {
	text, err := json.Marshal(what)
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, name), text, 0o600)
	}
	if err != nil {
		panic(err)
	}
}

func read[T any](t *testing.T, folder, name string) T {
	t.Helper()
	var what T
	text, err := os.ReadFile(filepath.Join(folder, name))
	if err == nil {
		err = json.Unmarshal(text, &what)
	}
	if err != nil {
		t.Fatal(err)
	}
	return what
}

// create has kind make the cluster, and returns what it was stopped by and the folder with what it asked Docker for.
func create(t *testing.T, config string) (error, string) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin, folder := t.TempDir(), t.TempDir()
	if err := os.Symlink(program, filepath.Join(bin, "docker")); err != nil {
		t.Fatal(err)
	}
	// Of kind's node images, as its module has it.
	base, err := os.ReadFile(filepath.Join(moduleFolder(t), "images/base/files/etc/containerd/config.toml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "config.toml"), base, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv(recordVariable, folder)
	t.Setenv("KUBECONFIG", filepath.Join(folder, "kubeconfig"))
	provider := cluster.NewProvider(cluster.ProviderWithDocker(), cluster.ProviderWithLogger(log.NoopLogger{}))
	return provider.Create("", cluster.CreateWithRawConfig([]byte(config)), cluster.CreateWithRetain(true)), folder
}

func theConfig(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(configFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTheConfigurationIsTakenUpToTheStartOfKubernetes(t *testing.T) {
	stopped, folder := create(t, theConfig(t))
	if stopped == nil || !strings.Contains(fmt.Sprintf("%+v", stopped), "kubeadm init") {
		t.Fatalf("kind should come as far as `kubeadm init`: %v", stopped)
	}
	nodes, _ := filepath.Glob(filepath.Join(folder, "node-*"))
	names := []string{}
	for _, node := range nodes {
		names = append(names, strings.TrimPrefix(filepath.Base(node), "node-"))
	}
	if !slices.Equal(names, []string{"imagesearch-control-plane", "imagesearch-worker"}) {
		t.Errorf("one control plane and one worker, not %v", names)
	}
	for _, name := range names {
		arguments := read[[]string](t, folder, "node-"+name)
		if image := arguments[len(arguments)-1]; image != defaults.Image {
			t.Errorf("%s runs %s; this version of kind was released with %s", name, image, defaults.Image)
		}
		config, err := toml.Load(read[string](t, folder, "containerd-"+name))
		if err != nil {
			t.Fatalf("what containerd would read is no TOML: %v", err)
		}
		path := config.GetPath([]string{"plugins", "io.containerd.grpc.v1.cri", "registry", "config_path"})
		if path != "/etc/containerd/certs.d" {
			t.Errorf("containerd looks registries up in %v", path)
		}
		if config.GetPath([]string{"plugins", "io.containerd.grpc.v1.cri", "sandbox_image"}) == nil {
			t.Error("what the node image says of containerd is gone")
		}
	}
}

// The page and Grafana are where scripts/kind says, on this machine alone, and nothing asks for a port that wants rights.
func TestPortsAreThoseOfTheServices(t *testing.T) {
	_, folder := create(t, theConfig(t))
	published := map[string]string{}
	for _, argument := range read[[]string](t, folder, "node-imagesearch-control-plane") {
		mapping, is := strings.CutPrefix(argument, "--publish=")
		if !is || strings.HasSuffix(mapping, ":6443/TCP") {
			continue
		}
		parts := strings.Split(mapping, ":")
		if len(parts) != 3 || parts[0] != "127.0.0.1" {
			t.Errorf("%s is published to more than this machine", mapping)
			continue
		}
		if port, err := strconv.Atoi(parts[1]); err != nil || port <= 1024 {
			t.Errorf("%s wants rights", mapping)
		}
		published[parts[2]] = parts[1]
	}
	script, err := os.ReadFile("../../scripts/kind")
	if err != nil {
		t.Fatal(err)
	}
	services := regexp.MustCompile(`nodePort: (\d+)`).FindAllStringSubmatch(string(script), -1)
	if len(services) != len(published) {
		t.Errorf("%d ports are published, and scripts/kind has %d services", len(published), len(services))
	}
	for _, service := range services {
		port, is := published[service[1]+"/TCP"]
		if !is {
			t.Errorf("the service on %s is not published", service[1])
		} else if !strings.Contains(string(script), "http://localhost:"+port) {
			t.Errorf("scripts/kind doesn't name http://localhost:%s", port)
		}
	}
}

func TestAWrongConfigurationIsRefused(t *testing.T) {
	for name, change := range map[string][3]string{
		"a field that is not there":     {"extraPortMappings:", "extraPortMapping:", "field extraPortMapping not found"},
		"a role that is not there":      {"role: worker", "role: helper", `"helper" is not a valid node role`},
		"a port that is none":           {"hostPort: 3001", "hostPort: 70000", "invalid port number: 70000"},
		"a port twice":                  {"hostPort: 3001", "hostPort: 3000", "already configured"},
		"no control plane":              {"role: control-plane", "role: worker", "must have at least one control-plane"},
		"another version":               {"v1alpha4", "v1alpha9", "unknown apiVersion"},
		"a name with capitals":          {"name: imagesearch", "name: ImageSearch", "not a valid cluster name"},
		"containerd's patch is no TOML": {"config_path =", "config_path", "failed to patch containerd config"},
	} {
		t.Run(name, func(t *testing.T) {
			config := theConfig(t)
			if !strings.Contains(config, change[0]) {
				t.Fatalf("there is no %s to change", change[0])
			}
			refused, _ := create(t, strings.Replace(config, change[0], change[1], 1))
			if refused == nil || !strings.Contains(fmt.Sprintf("%v", refused), change[2]) {
				t.Errorf("should be refused with %q: %v", change[2], refused)
			}
		})
	}
}

// moduleFolder is where Go keeps its copy of kind.
func moduleFolder(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kind").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
