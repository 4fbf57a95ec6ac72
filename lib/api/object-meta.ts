/**
 * Types of what travels in the Kubernetes API: ours, generated from crds/, and the few pieces of
 * Kubernetes' own that ours are made of, written by hand in this file.
 *
 * May import: nothing of ours outside this folder.
 */

/** What the gateway reads of `metav1.ObjectMeta`; `name` is always there on objects that exist. */
export interface ObjectMeta {
  name: string
  namespace?: string
  uid?: string
  resourceVersion?: string
  generation?: number
  creationTimestamp?: string
  deletionTimestamp?: string
  labels?: Record<string, string>
  annotations?: Record<string, string>
}

export interface ListMeta {
  resourceVersion?: string
  continue?: string
  remainingItemCount?: number
}

export interface ObjectList<T> {
  apiVersion: string
  kind: string
  metadata: ListMeta
  items: T[]
}

/** Where a kind of object lives in the API's paths. */
export interface ResourceInfo {
  group: string
  version: string
  plural: string
  kind: string
  namespaced: boolean
}
