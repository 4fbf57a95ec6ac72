import type { ResourceInfo } from './object-meta.ts'

export interface ResourcePlace {
  /** All namespaces, or an object of the cluster, when undefined. */
  namespace?: string | undefined
  /** The whole collection when undefined. */
  name?: string | undefined
}

/** A path of the Kubernetes API, e.g. `/apis/podgate.dev/v1alpha1/namespaces/shop/accesspolicies/exec`. */
export function resourcePath(info: ResourceInfo, { namespace, name }: ResourcePlace = {}): string {
  const folder = namespace === undefined ? '' : `/namespaces/${encodeURIComponent(namespace)}`
  const tail = name === undefined ? '' : `/${encodeURIComponent(name)}`
  return `/apis/${info.group}/${info.version}${folder}/${info.plural}${tail}`
}
