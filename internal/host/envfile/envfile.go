// Package envfile is a program that gets its variables from a file, and a command that starts it again: systemd with an
// EnvironmentFile, docker compose with an env_file, or anything like them.
package envfile
