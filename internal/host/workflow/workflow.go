// Package workflow is a place that only a workflow at GitHub Actions may change: mending it is dispatching that workflow.
package workflow
