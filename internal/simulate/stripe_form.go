package simulate

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// form is one node of Stripe's nested parameters: line_items[0][price_data][unit_amount]=900 is a path of four nodes.
// Reading a node marks it as known; whatever nobody read is refused as an unknown parameter, as Stripe does. The first
// thing found wrong is kept in problem, which all nodes of a form share, so that a reader of parameters checks once.
type form struct {
	path    string
	value   string
	isValue bool
	known   bool
	fields  map[string]*form
	problem **apiError
}

// parseForm reads an URL-encoded body or query. Arrays may be written x[]=a&x[]=b or x[0]=a&x[1]=b.
func parseForm(encoded string) (*form, *apiError) {
	values, err := url.ParseQuery(encoded)
	if err != nil {
		return nil, invalid("", "", "The request body could not be parsed as application/x-www-form-urlencoded.")
	}
	root := &form{known: true, problem: new(*apiError)}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		path := splitKey(key)
		if len(path) > formDepthMax {
			return nil, invalid("", key, "Invalid object: nested too deep.")
		}
		for i, value := range values[key] {
			root.set(path, i, value)
		}
	}
	return root, nil
}

// splitKey turns a[b][c] into a, b, c.
func splitKey(key string) []string {
	head, rest, isNested := strings.Cut(key, "[")
	if !isNested {
		return []string{key}
	}
	return append([]string{head}, strings.Split(strings.TrimSuffix(rest, "]"), "][")...)
}

// set stores a value under path. An empty last part is an array without numbers; nth is then its position.
func (f *form) set(path []string, nth int, value string) {
	node := f
	for _, name := range path {
		if name == "" {
			name = strconv.Itoa(nth)
		}
		node = node.enter(name)
	}
	node.value, node.isValue = value, true
}

func (f *form) enter(name string) *form {
	if child, ok := f.fields[name]; ok {
		return child
	}
	if f.fields == nil {
		f.fields = map[string]*form{}
	}
	path := name
	if f.path != "" {
		path = f.path + "[" + name + "]"
	}
	child := &form{path: path, problem: f.problem}
	f.fields[name] = child
	return child
}

// field returns the node called name and marks it known; nil if it was not given. Methods of a nil node answer as an
// empty one.
func (f *form) field(name string) *form {
	if f == nil || f.fields[name] == nil {
		return nil
	}
	f.fields[name].known = true
	return f.fields[name]
}

// fail keeps the first problem of the whole form.
func (f *form) fail(code, param, message string) {
	if *f.problem == nil {
		*f.problem = invalid(code, param, message)
	}
}

func (f *form) has(name string) bool { return f != nil && f.fields[name] != nil }

func (f *form) text(name string) string {
	field := f.field(name)
	if field == nil {
		return ""
	}
	if !field.isValue {
		f.fail("", field.path, "Invalid string: "+field.path)
	}
	return field.value
}

// pathOf is how Stripe writes the parameter called name inside f.
func (f *form) pathOf(name string) string {
	if f == nil || f.path == "" {
		return name
	}
	return f.path + "[" + name + "]"
}

// required is text that must be given and not be empty.
func (f *form) required(name string) string {
	value := f.text(name)
	switch {
	case !f.has(name):
		f.fail("parameter_missing", f.pathOf(name), "Missing required param: "+f.pathOf(name)+".")
	case value == "":
		f.fail("parameter_invalid_empty", f.pathOf(name),
			"You passed an empty string for '"+f.pathOf(name)+"'. We assume empty values are an attempt to unset a parameter; however '"+
				f.pathOf(name)+"' cannot be unset.")
	}
	return value
}

// oneOf is text that must be empty or among allowed.
func (f *form) oneOf(name string, allowed ...string) string {
	value := f.text(name)
	if f.has(name) && !slices.Contains(allowed, value) {
		f.fail("", f.pathOf(name), "Invalid "+f.pathOf(name)+": must be one of "+strings.Join(allowed, ", "))
	}
	return value
}

// number is a whole number, or absent when the parameter was not given.
func (f *form) number(name string, absent int64) int64 {
	if !f.has(name) {
		return absent
	}
	value := f.text(name)
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		f.fail("parameter_invalid_integer", f.pathOf(name), "Invalid integer: "+value)
	}
	return n
}

// flag is true, false, or nil when the parameter was not given.
func (f *form) flag(name string) *bool {
	if !f.has(name) {
		return nil
	}
	value := f.text(name)
	if value != "true" && value != "false" {
		f.fail("", f.pathOf(name), "Invalid boolean: "+value)
	}
	return new(value == "true")
}

// list returns the elements of an array in their order.
func (f *form) list(name string) []*form {
	array := f.field(name)
	if array == nil {
		return nil
	}
	if array.isValue {
		if array.value != "" {
			f.fail("", array.path, "Invalid array")
		}
		return nil
	}
	numbers := make([]int, 0, len(array.fields))
	for key := range array.fields {
		n, err := strconv.Atoi(key)
		if err != nil || strconv.Itoa(n) != key { // "00" would not be found again
			f.fail("", array.path, "Invalid array")
			return nil
		}
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	elements := make([]*form, 0, len(numbers))
	for _, n := range numbers {
		elements = append(elements, array.field(strconv.Itoa(n)))
	}
	return elements
}

func (f *form) texts(name string) []string {
	var texts []string
	for _, element := range f.list(name) {
		texts = append(texts, element.value)
	}
	return texts
}

// metadata reads a map of free keys within Stripe's limits. It is never nil, because Stripe shows {} for none.
func (f *form) metadata(name string) map[string]string {
	m := map[string]string{}
	field := f.field(name)
	if field == nil {
		return m
	}
	if len(field.fields) > metadataKeysMax {
		f.fail("", field.path, "Metadata can have at most 50 keys.")
	}
	for key := range field.fields {
		value := field.text(key)
		switch {
		case len([]rune(key)) > metadataKeyMax:
			f.fail("", field.path, "Metadata keys can be at most 40 characters long. Invalid key: "+key)
		case len([]rune(value)) > metadataValueMax:
			f.fail("", field.pathOf(key), "Metadata values can have up to 500 characters.")
		case value != "": // an empty value unsets the key
			m[key] = value
		}
	}
	return m
}

// accept marks parameters that Stripe knows and this simulation ignores.
func (f *form) accept(names ...string) {
	for _, name := range names {
		if field := f.field(name); field != nil {
			field.acceptAll()
		}
	}
}

func (f *form) acceptAll() {
	f.known = true
	for _, child := range f.fields {
		child.acceptAll()
	}
}

// check returns the first problem met while reading, else names a parameter that nobody read.
func (f *form) check() *apiError {
	if *f.problem != nil {
		return *f.problem
	}
	if path := f.unknown(); path != "" {
		return invalid("parameter_unknown", path, "Received unknown parameter: "+path)
	}
	return nil
}

func (f *form) unknown() string {
	if !f.known {
		return f.path
	}
	for _, name := range slices.Sorted(maps.Keys(f.fields)) {
		if path := f.fields[name].unknown(); path != "" {
			return path
		}
	}
	return ""
}
