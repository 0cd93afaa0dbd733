// Package command is a program that a command starts again: its supervisor's, on this machine or on another one.
package command
