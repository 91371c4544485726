package tilt

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	root = "../.."
	// What the operator makes of an empty spec, as its own tests have it.
	snapshotFile = "operator/src/controller/snapshots/operator__controller__tests__an_empty_spec.snap"
)

// Where `scripts/dev programs` puts what it builds, in the environment that the Tiltfile is run with.
var (
	environment = map[string]string{"HOME": "/home/somebody"}
	programs    = "/home/somebody/.cache/imagesearch/dev"
	roles       = []string{"ingestapi", "ingestworker", "searchapi", "cdnapi"}
)

func text(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func run(t *testing.T, subcommand string) *Plan {
	t.Helper()
	plan, err := Run(root, text(t, "Tiltfile"), subcommand, environment)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// A resource is what Tilt shows as one: a program of this machine, or objects of the cluster.
type resource struct {
	Call
	name string
}

func resources(plan *Plan) []resource {
	all := []resource{}
	for _, call := range plan.Of("local_resource") {
		all = append(all, resource{call, call.Text("name")})
	}
	for _, call := range plan.Of("k8s_resource") {
		name := call.Text("new_name")
		if name == "" {
			name = call.Text("workload")
		}
		all = append(all, resource{call, name})
	}
	return all
}

func TestEveryResourceIsThereOnceAndAfterThoseItWaitsFor(t *testing.T) {
	plan := run(t, "up")
	waits := map[string][]string{}
	label := regexp.MustCompile(`^[a-z0-9]([-a-z0-9_.]{0,61}[a-z0-9])?$`)
	for _, resource := range resources(plan) {
		if _, twice := waits[resource.name]; twice {
			t.Errorf("%s is there twice", resource.name)
		}
		if !label.MatchString(resource.name) {
			t.Errorf("%q can't be a name", resource.name)
		}
		waits[resource.name] = resource.Texts("resource_deps")
		labels := resource.Texts("labels")
		if len(labels) != 1 || !label.MatchString(labels[0]) {
			t.Errorf("%s is in no group, or in several: %v", resource.name, labels)
		}
		t.Logf("%-22s %-14s after %v: %s", resource.name, labels, waits[resource.name],
			resource.Text("cmd")+resource.Text("serve_cmd")+strings.Join(resource.Texts("objects"), " "))
	}
	var visit func(name string, above []string)
	visit = func(name string, above []string) {
		if slices.Contains(above, name) {
			t.Fatalf("%s waits for itself: %v", name, above)
		}
		if _, is := waits[name]; !is {
			t.Errorf("%s waits for %s, which is nowhere", above[len(above)-1], name)
		}
		for _, next := range waits[name] {
			visit(next, append(slices.Clone(above), name))
		}
	}
	for name := range waits {
		visit(name, nil)
	}
}

// What belongs to a resource of the cluster is among what is applied.
func TestEveryObjectOfAResourceIsApplied(t *testing.T) {
	plan := run(t, "up")
	objects, err := plan.Objects()
	if err != nil {
		t.Fatal(err)
	}
	applied := map[string]bool{}
	for _, object := range objects {
		name := fmt.Sprint(at(object, "metadata", "name"))
		applied[name+":"+strings.ToLower(object["kind"].(string))] = true
		if len(containers(object)) > 0 || len(plan.Of("k8s_kind")) > 0 && object["kind"] == plan.Of("k8s_kind")[0].Text("kind") {
			applied[name] = true
		}
	}
	for _, resource := range plan.Of("k8s_resource") {
		for _, object := range append(resource.Texts("objects"), resource.Text("workload")) {
			if !applied[object] {
				t.Errorf("%s: %s isn't applied", resource.Position, object)
			}
		}
	}
}

// What is changed while Tilt runs must be there to be watched.
func TestEveryWatchedFileIsThere(t *testing.T) {
	plan := run(t, "up")
	for _, call := range slices.Concat(plan.Of("local_resource"), plan.Of("custom_build")) {
		for _, file := range call.Texts("deps") {
			if strings.HasPrefix(file, programs+"/") {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, file)); err != nil {
				t.Errorf("%s: %v", call.Position, err)
			}
		}
	}
}

// Words that a script handles: `case … in` at its end.
func handled(script string) []string {
	words := []string{}
	for _, found := range regexp.MustCompile(`(?m)^([a-z0-9-]+)\)`).FindAllStringSubmatch(script, -1) {
		words = append(words, found[1])
	}
	return words
}

// assertRuns checks a command of this machine as far as it can be without running it.
func assertRuns(t *testing.T, command, folder string) {
	t.Helper()
	words := strings.Fields(command)
	switch {
	case words[0] == "scripts/dev":
		if !slices.Contains(handled(text(t, words[0])), words[1]) {
			t.Errorf("scripts/dev knows no %s", words[1])
		}
		if words[1] == "image" {
			text(t, filepath.Join("docker", strings.TrimPrefix(words[2], "imagesearch-")+".Dockerfile"))
			if words[3] != "$EXPECTED_REF" {
				t.Errorf("%s: Tilt says what the image is called", command)
			}
		}
	case words[0] == "helm":
		assertFlags(t, words)
		if _, err := os.Stat(filepath.Join(root, words[4], "Chart.yaml")); err != nil {
			t.Error(err)
		}
	case words[0] == "kubectl":
		assertFlags(t, words)
	case words[0] == "npm" && words[1] == "ci":
		text(t, filepath.Join(folder, "package-lock.json"))
	case words[0] == "npm" && words[1] == "run":
		if !strings.Contains(text(t, filepath.Join(folder, "package.json")), fmt.Sprintf("%q:", words[2])) {
			t.Errorf("%s/package.json has no %s", folder, words[2])
		}
	case words[0] == "mkdir":
	default:
		t.Errorf("nobody says what %q is", command)
	}
}

// assertFlags has the program itself list the flags that it knows, where it is there.
func assertFlags(t *testing.T, words []string) {
	t.Helper()
	if _, err := exec.LookPath(words[0]); err != nil {
		t.Logf("%s isn't there to tell its flags", words[0])
		return
	}
	at := slices.IndexFunc(words[1:], func(word string) bool { return word == "wait" || word == "upgrade" }) + 1
	help, err := exec.Command(words[0], words[at], "--help").CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %s", words[0], words[at], help)
	}
	known := string(help)
	if options, err := exec.Command(words[0], "options").CombinedOutput(); err == nil {
		known += string(options)
	}
	for _, word := range words {
		flag, _, _ := strings.Cut(word, "=")
		if strings.HasPrefix(flag, "--") && !strings.Contains(known, flag) {
			t.Errorf("%s %s knows no %s", words[0], words[at], flag)
		}
	}
}

func TestEveryCommandIsOneThatIsThere(t *testing.T) {
	plan := run(t, "up")
	for _, call := range plan.Calls {
		commands := map[string]string{
			call.Text("cmd"):                         call.Text("dir"),
			call.Text("serve_cmd"):                   call.Text("serve_dir"),
			strings.Join(call.Texts("command"), " "): call.Text("dir"),
		}
		for command, folder := range commands {
			if command != "" {
				assertRuns(t, command, folder)
			}
		}
	}
}

// Every image that is built is run by an object, at a place that Tilt looks at.
func TestEveryImageIsRun(t *testing.T) {
	plan := run(t, "up")
	objects, err := plan.Objects()
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, object := range objects {
		for _, container := range containers(object) {
			used[container["image"].(string)] = true
		}
		for _, kind := range plan.Of("k8s_kind") {
			if object["kind"] != kind.Text("kind") || object["apiVersion"] != kind.Text("api_version") {
				continue
			}
			for _, place := range kind.Texts("image_json_path") {
				image, is := at(object, strings.Split(strings.Trim(place, "{.}"), ".")...).(string)
				if !is {
					t.Errorf("%s has nothing at %s", kind.Text("kind"), place)
				}
				used[image] = true
			}
		}
	}
	for _, build := range plan.Of("custom_build") {
		ref := build.Text("ref")
		is := func(image string) bool { return image == ref || strings.HasPrefix(image, ref+":") }
		if !slices.ContainsFunc(keys(used), is) {
			t.Errorf("nothing runs %s, only %v", ref, keys(used))
		}
	}
	t.Logf("images: %v", keys(used))
}

// A change comes into the pods of each role: those that the operator makes are found by their labels, have room where the
// program is put, and begin with what starts it anew.
func TestEachRoleIsUpdatedInItsPods(t *testing.T) {
	plan := run(t, "up")
	builds := slices.DeleteFunc(plan.Of("custom_build"), func(build Call) bool { return build.Values["live_update"] == nil })
	if len(builds) != 1 || builds[0].Text("ref") != "imagesearch" {
		t.Fatalf("one image is updated, that of the roles: %v", builds)
	}
	steps := builds[0].Calls("live_update")
	if len(steps) != 2 || steps[0].Function != "sync" || steps[1].Function != "run" {
		t.Fatalf("first the program, then its start: %v", steps)
	}
	local, remote := steps[0].Text("local_path"), steps[0].Text("remote_path")
	if !slices.ContainsFunc(builds[0].Texts("deps"), func(dep string) bool { return strings.HasPrefix(local, dep+"/") }) {
		t.Errorf("nobody watches %s", local)
	}
	entrypoint := text(t, "docker/dev-entrypoint")
	if !strings.Contains(entrypoint, "\nnewer="+remote+"\n") {
		t.Errorf("docker/dev-entrypoint doesn't start %s", remote)
	}
	signal := regexp.MustCompile(`^kill -([A-Z]+) 1$`).FindStringSubmatch(steps[1].Text("cmd"))
	if signal == nil || !strings.Contains(entrypoint, "' "+signal[1]+"\n") {
		t.Errorf("docker/dev-entrypoint doesn't heed %q", steps[1].Text("cmd"))
	}

	selectors := selectorsOf(t, plan)
	for _, role := range roles {
		pod := podOf(t, role)
		labels := at(pod, "metadata", "labels").(map[string]any)
		if !slices.ContainsFunc(selectors, func(selector map[string]any) bool { return selects(selector, labels) }) {
			t.Errorf("%v select no pod of %s: %v", selectors, role, labels)
		}
		container := containers(pod)[0]
		if container["command"] != nil {
			t.Errorf("%s doesn't begin with the image's entrypoint", role)
		}
		if !isWritable(pod, container, path.Dir(remote)) {
			t.Errorf("%s can't write %s", role, remote)
		}
	}
}

func selectorsOf(t *testing.T, plan *Plan) []map[string]any {
	t.Helper()
	selectors := []map[string]any{}
	for _, resource := range plan.Of("k8s_resource") {
		given, _ := resource.Values["extra_pod_selectors"].([]any)
		for _, selector := range given {
			selectors = append(selectors, selector.(map[string]any))
		}
	}
	return selectors
}

func selects(selector, labels map[string]any) bool {
	for key, value := range selector {
		if labels[key] != value {
			return false
		}
	}
	return len(selector) > 0
}

// snapshot is what the operator makes of an empty spec.
func snapshot(t *testing.T) []map[string]any {
	t.Helper()
	_, yaml, _ := strings.Cut(text(t, snapshotFile)[len("---\n"):], "\n---\n")
	objects, err := Documents(yaml)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// podOf is the template of the pods that the operator makes for a role.
func podOf(t *testing.T, role string) map[string]any {
	t.Helper()
	for _, object := range snapshot(t) {
		if object["kind"] == "Deployment" && at(object, "metadata", "name") == "photos-"+role {
			return at(object, "spec", "template").(map[string]any)
		}
	}
	t.Fatalf("%s has no Deployment for %s", snapshotFile, role)
	return nil
}

// isWritable: whether a folder is on a volume that goes with the pod.
func isWritable(pod, container map[string]any, folder string) bool {
	for _, mount := range list(container["volumeMounts"]) {
		if mount["readOnly"] == true || !strings.HasPrefix(folder+"/", mount["mountPath"].(string)+"/") {
			continue
		}
		for _, volume := range list(at(pod, "spec", "volumes")) {
			if volume["name"] == mount["name"] && volume["emptyDir"] != nil {
				return true
			}
		}
	}
	return false
}

// A port of this machine leads to one service, which the operator or a chart makes, and each link to a port that is open.
func TestPortsAndLinksFitTogether(t *testing.T) {
	plan := run(t, "up")
	services := map[string]bool{}
	for _, object := range slices.Concat(snapshot(t), chart(t, "observability", "monitoring")) {
		if object["kind"] == "Service" {
			for _, port := range list(at(object, "spec", "ports")) {
				services[fmt.Sprintf("service/%v %v", at(object, "metadata", "name"), port["port"])] = true
			}
		}
	}
	open := map[string]string{}
	for _, resource := range plan.Of("local_resource") {
		words := strings.Fields(resource.Text("serve_cmd"))
		probed := resource.Calls("readiness_probe")
		if len(words) > 0 && len(probed) == 0 {
			t.Errorf("%s: nobody knows when it is ready", resource.Text("name"))
			continue
		}
		if len(words) == 0 {
			continue
		}
		port := fmt.Sprint(probed[0].Calls("http_get")[0].Values["port"])
		if other, twice := open[port]; twice {
			t.Errorf("%s and %s have the same port", other, resource.Text("name"))
		}
		open[port] = resource.Text("name")
		if words[0] != "scripts/dev" {
			continue
		}
		here, there, _ := strings.Cut(words[4], ":")
		if here != port {
			t.Errorf("%s: %s is probed, not %s", resource.Text("name"), port, here)
		}
		if !services[words[3]+" "+there] {
			t.Errorf("%s: there is no %s on %s", resource.Text("name"), words[3], there)
		}
	}
	for _, resource := range resources(plan) {
		for _, link := range resource.Calls("links") {
			port := regexp.MustCompile(`^http://localhost:(\d+)`).FindStringSubmatch(link.Text("url"))
			if port == nil || open[port[1]] != resource.name {
				t.Errorf("%s doesn't open %s", resource.name, link.Text("url"))
			}
		}
		for _, url := range regexp.MustCompile(`localhost:\d+`).FindAllString(fmt.Sprint(resource.Values["serve_env"]), -1) {
			if _, is := open[strings.TrimPrefix(url, "localhost:")]; !is {
				t.Errorf("%s reads from %s, which nobody opens", resource.name, url)
			}
		}
	}
	if dev := text(t, "scripts/dev"); !strings.Contains(dev, "http://localhost:13000") || open["13000"] != "frontend" {
		t.Error("scripts/dev talks to another port than the page's")
	}
}

func chart(t *testing.T, name, namespace string) []map[string]any {
	t.Helper()
	folder := filepath.Join(root, "charts", name)
	rendered, err := exec.Command("helm", "template", name, folder, "--namespace", namespace, "--kube-version", "1.36.0").Output()
	if err != nil {
		t.Fatalf("helm template %s (tests/cluster/cluster build-tools builds helm): %v", name, err)
	}
	objects, err := Documents(string(rendered))
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// `tilt up` leaves to a person what only a person wants; `tilt ci` ends with the end-to-end test.
func TestButtonsWaitForAPersonAndCIRunsTheTest(t *testing.T) {
	buttons := func(subcommand string) map[string]bool {
		all := map[string]bool{}
		for _, resource := range run(t, subcommand).Of("local_resource") {
			if resource.Text("trigger_mode") == "manual" {
				all[resource.Text("name")] = resource.Is("auto_init", true)
			}
		}
		return all
	}
	for subcommand, runs := range map[string]bool{"up": false, "ci": true} {
		found := buttons(subcommand)
		wanted := map[string]bool{"ingest-sample-photos": false, "kill-a-worker": false, "run-e2e": runs}
		if fmt.Sprint(found) != fmt.Sprint(wanted) {
			t.Errorf("tilt %s begins with %v, not with %v", subcommand, found, wanted)
		}
	}
}

func TestWhatTiltWouldRefuseIsRefused(t *testing.T) {
	for source, reason := range map[string]string{
		"local_resource('a', cmd='true', depends=['b'])": "unexpected keyword argument",
		"custom_build('a', 'build')":                     "missing argument for deps",
		"k8s_resources('a')":                             "undefined: k8s_resources",
		"local_resource('a', cmd=struct)":                "undefined: struct",
		"sync('a')":                                      "missing argument for remote_path",
	} {
		if _, err := Run(root, source, "up", environment); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s should be refused with %q: %v", source, reason, err)
		}
	}
}

// at is what lies below these keys.
func at(value any, keys ...string) any {
	for _, key := range keys {
		object, is := value.(map[string]any)
		if !is {
			return nil
		}
		value = object[key]
	}
	return value
}

func list(value any) []map[string]any {
	all := []map[string]any{}
	items, _ := value.([]any)
	for _, item := range items {
		if item, is := item.(map[string]any); is {
			all = append(all, item)
		}
	}
	return all
}

// containers of a pod's template, or of whatever has one.
func containers(object map[string]any) []map[string]any {
	if inner, is := at(object, "spec", "template").(map[string]any); is {
		object = inner
	}
	return list(at(object, "spec", "containers"))
}

func keys(set map[string]bool) []string {
	all := []string{}
	for key := range set {
		all = append(all, key)
	}
	slices.Sort(all)
	return all
}
