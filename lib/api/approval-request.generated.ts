// Generated from crds/approvalrequests.yaml by cmd/setup/generate.ts. Do not edit; run: npm run generate
import type { ObjectMeta, ResourceInfo } from './object-meta.ts'

export const APPROVAL_REQUEST: ResourceInfo = {
  group: 'podgate.dev',
  version: 'v1alpha1',
  plural: 'approvalrequests',
  kind: 'ApprovalRequest',
  namespaced: true,
}

/**
 * ApprovalRequest is one session that waits for people to approve it. The gateway makes it, in the
 * namespace of the pod, when somebody asks for what a policy allows only with approval. It is good
 * for exactly this session: the same person, container, command, port, and whatever else it names.
 * Decide with kubectl approve.
 */
export interface ApprovalRequest {
  apiVersion: 'podgate.dev/v1alpha1'
  kind: 'ApprovalRequest'
  metadata: ObjectMeta
  spec: ApprovalRequestSpec
  status?: ApprovalRequestStatus
}

/** What is asked for. It never changes. */
export interface ApprovalRequestSpec {
  /** Who asks, as the API server sees them. */
  requester: ApprovalRequestRequester
  /**
   * Exec runs a command. Attach joins the running process. PortForward connects to ports of the
   * pod. Logs reads the output of containers. Copy moves files. Debug adds a container, or makes a
   * pod, to work in. Proxy speaks HTTP to the pod or the service. TokenRequest mints tokens of the
   * service account.
   */
  operation: 'Exec' | 'Attach' | 'PortForward' | 'Logs' | 'Copy' | 'Debug' | 'Proxy' | 'TokenRequest'
  /** The pod and container in question, or what stands in their place. */
  target: ApprovalRequestTarget
  /**
   * The command and its arguments, one by one, without a shell between them. For Logs, the options.
   * Not set for Attach, PortForward, Proxy and TokenRequest.
   */
  command?: string[]
  /** What would be added to the pod, or what the pod would be, for Debug. */
  debug?: ApprovalRequestDebug
  /** Whether the session has a terminal. */
  tty: boolean
  /** Whether the session can be given input. */
  stdin: boolean
  /** The policies that allow the session, as they were at that moment. */
  policies: ApprovalRequestPolicy[]
  /**
   * Everybody who may decide, from all of the policies. When several policies demand approval, an
   * approver of each has to agree.
   */
  approvers: ApprovalRequestApprover[]
  /**
   * A digest of requester, operation, target, command, debug and policies. An approval is spent
   * only on a session of the same digest.
   */
  digest: string
  /** When the request lapses unless it is decided. */
  expiresAt: string
  /** How long the approval can be used once it is given. */
  validFor: string
}

/** Who asks, as the API server sees them. */
export interface ApprovalRequestRequester {
  /** The user's name. */
  username: string
  /** The user's unique id, where the identity provider gives one. */
  uid?: string
  /** The groups of the user at that moment. */
  groups: string[]
}

/** The pod and container in question, or what stands in their place. */
export interface ApprovalRequestTarget {
  /**
   * The unique id of the cluster's namespace kube-system, so that an approval for one cluster is
   * worth nothing in another.
   */
  cluster: string
  /** The pod's namespace. */
  namespace: string
  /** The pod's name; empty where it is about no pod. */
  pod: string
  /**
   * The pod's unique id. When the pod is replaced by another one of the same name, the approval
   * does not hold for that one. Empty where there is no pod yet, or none at all.
   */
  podUID: string
  /** The container's name; empty where it is about the whole pod. */
  container: string
  /** The image that the container runs; empty where there is none. */
  image: string
  /**
   * The ports, for PortForward and Proxy. Not set where they are told only when a connection
   * begins; each one is then decided by the policies.
   */
  ports?: number[]
  /** The service, for Proxy. */
  service?: string
  /** The service account, for TokenRequest. */
  serviceAccount?: string
}

/** What would be added to the pod, or what the pod would be, for Debug. */
export interface ApprovalRequestDebug {
  /** The image, or several in brackets. */
  image: string
  /** The command and its arguments; empty where the image has its own. */
  command: string[]
  /** The container whose processes it would see; empty for none. */
  targetContainer: string
  /** The capabilities added to the usual ones, without CAP_. */
  capabilities: string[]
  /**
   * Whether it would be privileged or share something with the node, which is as good as root on
   * the node.
   */
  privileged: boolean
  /** A digest of all of it, so that nothing else is made instead. */
  digest: string
}

export interface ApprovalRequestPolicy {
  /** AccessPolicy or ClusterAccessPolicy. */
  kind: 'AccessPolicy' | 'ClusterAccessPolicy'
  /** The namespace of an AccessPolicy. */
  namespace?: string
  /** The policy's name. */
  name: string
  /** The policy's unique id. */
  uid: string
  /** A digest of what the policy said. */
  digest: string
  /**
   * Who may approve as far as this policy is concerned; any one of them. Not set where the policy
   * does not demand approval.
   */
  approvers?: ApprovalRequestPolicyApprover[]
}

export interface ApprovalRequestPolicyApprover {
  /** User or Group. */
  kind: 'User' | 'Group'
  /** The name as the API server sees it. */
  name: string
}

export interface ApprovalRequestApprover {
  /** User or Group. */
  kind: 'User' | 'Group'
  /** The name as the API server sees it. */
  name: string
}

/** What people decided, and what became of the request. */
export interface ApprovalRequestStatus {
  /**
   * Who approved or denied. Each entry is written by that person, once, and stays as it is. Use
   * kubectl approve.
   */
  decisions?: ApprovalRequestDecision[]
  /**
   * What became of the request, written by the gateway alone. Each condition is True and final.
   * Approved and Denied follow from the decisions. Expired means that its time ran out. Revoked
   * means that it was withdrawn. Consumed means that the session took place. Wait with kubectl wait
   * --for=condition=Approved.
   */
  conditions?: ApprovalRequestCondition[]
}

export interface ApprovalRequestDecision {
  /** The name of the person who decides, as the API server sees it. */
  approver: string
  /** That person's groups, as the API server sees them. kubectl auth whoami shows them. */
  groups: string[]
  /** Approve or Deny. */
  verdict: 'Approve' | 'Deny'
  /** Why, in words for the person who asks. */
  reason?: string
  /** When, by the clock of the person who decides. */
  time: string
}

export interface ApprovalRequestCondition {
  /** The name of the condition. */
  type: 'Approved' | 'Denied' | 'Expired' | 'Revoked' | 'Consumed'
  /** Always True; a condition that does not hold is not there. */
  status: 'True'
  /** The metadata.generation that this was found for. */
  observedGeneration?: number
  /** When it came to be, by the gateway's clock. */
  lastTransitionTime: string
  /** One word for programs, such as ApprovedByPerson. */
  reason: string
  /** The details, for people. */
  message: string
}
