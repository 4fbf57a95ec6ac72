/** What a debug container or pod would be, as the API server read the request. */
export interface DebugFacts {
  image: string
  /** Each of them, where a pod has several; `image` is what people read then. */
  images?: string[]
  command: string[]
  /** The container whose processes it would see; empty where it sees none. */
  targetContainer: string
  /** Capabilities added to those of the runtime, without `CAP_`. */
  capabilities: string[]
  /** Privileged, or with the node's namespaces or file system: as good as root on the node. */
  privileged: boolean
  /** SHA-256 of all that was decided on, whatever name the container gets. */
  digest: string
}
