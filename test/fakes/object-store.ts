/**
 * Kubernetes objects with versions, as an API server keeps them: optimistic
 * concurrency, watches that resume from a version, and a past that is forgotten.
 */
import { randomUUID } from 'node:crypto'

export interface StoredObject {
  apiVersion?: string
  kind?: string
  metadata: {
    name: string
    namespace?: string
    uid?: string
    resourceVersion?: string
    generation?: number
    creationTimestamp?: string
    labels?: Record<string, string>
  }
  spec?: unknown
  status?: unknown
}

export interface WatchEvent {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK'
  version: number
  object: StoredObject
}

export type Listener = (event: WatchEvent) => void

export class ObjectStore {
  version = 1
  readonly #objects = new Map<string, StoredObject>()
  readonly #listeners = new Map<string, Set<Listener>>()
  #past: { plural: string; event: WatchEvent }[] = []
  #forgottenBefore = 0

  static #key(plural: string, namespace: string | undefined, name: string): string {
    return `${plural}/${namespace ?? ''}/${name}`
  }

  get(plural: string, namespace: string | undefined, name: string): StoredObject | undefined {
    return this.#objects.get(ObjectStore.#key(plural, namespace, name))
  }

  list(plural: string, namespace?: string): StoredObject[] {
    return [...this.#objects.entries()]
      .filter(([key]) => key.startsWith(`${plural}/`))
      .map(([, object]) => object)
      .filter(({ metadata }) => namespace === undefined || metadata.namespace === namespace)
  }

  /** Creates or replaces. The uid stays unless the object names another. */
  put(plural: string, object: StoredObject): StoredObject {
    const { namespace, name } = object.metadata
    const key = ObjectStore.#key(plural, namespace, name)
    const known = this.#objects.get(key)
    this.version += 1
    const stored: StoredObject = {
      ...structuredClone(object),
      metadata: {
        ...object.metadata,
        uid: object.metadata.uid ?? known?.metadata.uid ?? randomUUID(),
        generation: object.metadata.generation ?? 1,
        resourceVersion: String(this.version),
      },
    }
    this.#objects.set(key, stored)
    this.#tell(plural, known === undefined ? 'ADDED' : 'MODIFIED', stored)
    return stored
  }

  remove(plural: string, namespace: string | undefined, name: string): void {
    const key = ObjectStore.#key(plural, namespace, name)
    const known = this.#objects.get(key)
    if (known === undefined) return
    this.#objects.delete(key)
    this.version += 1
    const metadata = { ...known.metadata, resourceVersion: String(this.version) }
    this.#tell(plural, 'DELETED', { ...known, metadata })
  }

  /** Watches that want to resume from before now are told 410 from here on. */
  forgetPast(): void {
    this.#past = []
    this.#forgottenBefore = this.version
  }

  /** Events after `since` at once, later ones as they come; undefined when the past is forgotten. */
  watch(plural: string, since: number, listener: Listener): (() => void) | undefined {
    if (since < this.#forgottenBefore) return undefined
    for (const { plural: of, event } of this.#past) {
      if (of === plural && event.version > since) listener(event)
    }
    const listeners = this.#listeners.get(plural) ?? new Set()
    listeners.add(listener)
    this.#listeners.set(plural, listeners)
    return () => listeners.delete(listener)
  }

  bookmark(plural: string): void {
    this.version += 1
    const object = { metadata: { name: '', resourceVersion: String(this.version) } }
    const event: WatchEvent = { type: 'BOOKMARK', version: this.version, object }
    for (const listener of this.#listeners.get(plural) ?? []) listener(event)
  }

  #tell(plural: string, type: WatchEvent['type'], object: StoredObject): void {
    const event: WatchEvent = { type, version: this.version, object: structuredClone(object) }
    this.#past.push({ plural, event })
    for (const listener of this.#listeners.get(plural) ?? []) listener(event)
  }
}
