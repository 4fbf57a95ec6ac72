// Generated from crds/accesspolicies.yaml by cmd/setup/generate.ts. Do not edit; run: npm run generate
import type { ObjectMeta, ResourceInfo } from './object-meta.ts'

export const ACCESS_POLICY: ResourceInfo = {
  group: 'podgate.dev',
  version: 'v1alpha1',
  plural: 'accesspolicies',
  kind: 'AccessPolicy',
  namespaced: true,
}

/**
 * AccessPolicy says who may go into which pods of its own namespace, and how: run commands, forward
 * ports, read logs, copy, debug. It says who has to approve that first, what is masked in the
 * output, and how much is recorded. Nothing is allowed unless a policy allows it. Deny wins over
 * Allow. When several Allow policies match, all of their demands hold together, and so a policy of
 * a namespace can tighten what a ClusterAccessPolicy demands but never loosen it.
 */
export interface AccessPolicy {
  apiVersion: 'podgate.dev/v1alpha1'
  kind: 'AccessPolicy'
  metadata: ObjectMeta
  spec: AccessPolicySpec
  status?: AccessPolicyStatus
}

/** What the policy allows or denies, to whom, and under which demands. */
export interface AccessPolicySpec {
  /**
   * Allow lets the matching operations through, on the conditions below. Deny refuses them,
   * whatever other policies allow. Default: Allow.
   */
  effect?: 'Allow' | 'Deny'
  /**
   * Whom the policy is about. It applies to a request when any one of them is the user who asks, a
   * group of that user, or the service account that asks.
   */
  subjects: AccessPolicySubject[]
  /** What the policy is about. All given fields must match. */
  match: AccessPolicyMatch
  /**
   * How the person has to have signed in. Left out, any sign-in will do. When several policies
   * match, all of their demands hold. What the provider does not say meets no demand.
   */
  signIn?: AccessPolicySignIn
  /**
   * Whether a person has to approve before the session begins. Left out, nobody has to. When
   * several policies demand approval, each one's approvers have to agree.
   */
  approval?: AccessPolicyApproval
  /**
   * What is masked in the output before it reaches the user or the transcript. Left out, nothing
   * is. When several policies match, all their masks apply.
   */
  masking?: AccessPolicyMasking
  /**
   * What kubectl cp may move, for Copy. Left out, everything. When several policies match, only
   * what all of them let through is moved.
   */
  copy?: AccessPolicyCopy
  /**
   * What kubectl debug and kubectl run may add, for Debug. Left out, it is any image that is not
   * privileged and adds no capability but SYS_PTRACE. When several policies match, each one's
   * limits hold.
   */
  debug?: AccessPolicyDebug
  /** How much of a session is kept. */
  recording?: AccessPolicyRecording
}

export interface AccessPolicySubject {
  /** User, Group or ServiceAccount. */
  kind: 'User' | 'Group' | 'ServiceAccount'
  /**
   * Of a user or group the name as the API server sees it, with any prefix the gateway puts before
   * names of its identity provider; of a service account its own name. Compared exactly, without
   * wildcards. The group system:authenticated is everybody.
   */
  name: string
  /**
   * Of the service account, for kind ServiceAccount only. Left out, it is the namespace of the
   * policy.
   */
  namespace?: string
}

/** What the policy is about. All given fields must match. */
export interface AccessPolicyMatch {
  /**
   * Exec is running a command in a container (kubectl exec). Attach is joining the process that
   * already runs there (kubectl attach). PortForward is connecting to ports of a pod (kubectl
   * port-forward). Logs is reading the output of containers (kubectl logs). Copy is moving files
   * (kubectl cp). Debug is adding a container to a pod, or making a pod, to work in it (kubectl
   * debug, kubectl run). Proxy is speaking HTTP to a pod, a service through the API server (the
   * proxy subresource). TokenRequest is minting tokens of service accounts (kubectl create token).
   */
  operations: ('Exec' | 'Attach' | 'PortForward' | 'Logs' | 'Copy' | 'Debug' | 'Proxy' | 'TokenRequest')[]
  /**
   * The pods, by their labels. Left out or empty, it is every pod. Whoever may change labels of a
   * pod can move it from one policy to another, so prefer labels that an admission policy protects.
   */
  podSelector?: AccessPolicyMatchPodSelector
  /**
   * The containers, by name. An asterisk stands for any characters, a question mark for exactly
   * one. Left out, it is every container.
   */
  containers?: string[]
  /**
   * The ports, for PortForward and Proxy: of the pod, the service or the node, as the request names
   * them. Left out, it is every port. kubectl port-forward is opened when at least one port is
   * allowed; each connection is then decided by its own port.
   */
  ports?: number[]
  /**
   * The services whose proxy may be used, by name, for Proxy. An asterisk stands for any
   * characters, a question mark for exactly one. Left out, it is no service. A policy that names
   * services is not about the proxy of pods.
   */
  services?: string[]
  /**
   * The service accounts that tokens are minted for, by name, for TokenRequest. An asterisk stands
   * for any characters, a question mark for exactly one. Whoever has a token can do what the
   * service account can, without the gateway, until the token expires.
   */
  serviceAccounts?: string[]
}

/**
 * The pods, by their labels. Left out or empty, it is every pod. Whoever may change labels of a pod
 * can move it from one policy to another, so prefer labels that an admission policy protects.
 */
export interface AccessPolicyMatchPodSelector {
  /** Labels the pod must have, with exactly these values. */
  matchLabels?: Record<string, string>
  /** Further demands on labels. All of them must hold. */
  matchExpressions?: AccessPolicyMatchPodSelectorMatchExpression[]
}

export interface AccessPolicyMatchPodSelectorMatchExpression {
  /** The label's key. */
  key: string
  /**
   * In and NotIn compare with values. Exists and DoesNotExist only look for the key. As everywhere
   * in Kubernetes, NotIn also holds where the label is missing.
   */
  operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist'
  /** The values for In and NotIn. */
  values?: string[]
}

/**
 * How the person has to have signed in. Left out, any sign-in will do. When several policies match,
 * all of their demands hold. What the provider does not say meets no demand.
 */
export interface AccessPolicySignIn {
  /** The person has proved who they are within this time, for instance 15m; at most 24h. */
  maxAge?: string
  /** The class of the sign-in (OpenID Connect acr, SAML AuthnContextClassRef) is one of these. */
  acr?: string[]
  /**
   * The methods of the sign-in (OpenID Connect amr, such as otp or hwk) are all of these, and may
   * be more.
   */
  amr?: string[]
}

/**
 * Whether a person has to approve before the session begins. Left out, nobody has to. When several
 * policies demand approval, each one's approvers have to agree.
 */
export interface AccessPolicyApproval {
  /** Session asks the approvers before each session. Never asks nobody. */
  mode: 'Never' | 'Session'
  /**
   * The people who may approve or deny. Any one of them decides, except the one who asks. They
   * decide with kubectl approve.
   */
  approvers?: AccessPolicyApprovalApprover[]
  /**
   * How long a terminal (kubectl exec -it) waits for the decision, for instance 90s or 5m; at most
   * 1h. Scripts do not wait: they are refused at once, with the name of the request to wait for.
   * Default: 5m.
   */
  wait?: string
  /**
   * How long an approval can be used once it is given, for instance 30m; at most 24h. It opens one
   * session. Default: 30m.
   */
  validFor?: string
}

export interface AccessPolicyApprovalApprover {
  /** User or Group. */
  kind: 'User' | 'Group'
  /** The name as the API server sees it, compared exactly. */
  name: string
}

/**
 * What is masked in the output before it reaches the user or the transcript. Left out, nothing is.
 * When several policies match, all their masks apply.
 */
export interface AccessPolicyMasking {
  /**
   * Built-in detectors. CreditCard and Iban also verify the check digits, so other numbers of the
   * same shape stay readable.
   */
  detectors?: ('Email' | 'Phone' | 'CreditCard' | 'Iban' | 'IpAddress')[]
  /** Your own patterns, for what no detector knows. */
  patterns?: AccessPolicyMaskingPattern[]
  /** Redact replaces every masked character, so that columns keep their width. Default: Redact. */
  mode?: 'Redact'
}

export interface AccessPolicyMaskingPattern {
  /** A short name, for counts and messages. */
  name: string
  /**
   * A regular expression in RE2 syntax, without back-references and look-around, such as
   * CUST-[0-9]{6}. The Ready condition tells when it does not compile; until it is mended, the
   * policy allows nothing.
   */
  pattern: string
}

/**
 * What kubectl cp may move, for Copy. Left out, everything. When several policies match, only what
 * all of them let through is moved.
 */
export interface AccessPolicyCopy {
  /** Download is from the container to the person, Upload the other way. Left out, it is both. */
  directions?: ('Download' | 'Upload')[]
  /**
   * The paths inside the container, absolute, such as /var/log/**. An asterisk stands for any
   * characters but a slash, two for slashes as well, a question mark for exactly one character.
   * Every file that is moved must be among them. Left out, it is every path.
   */
  paths?: string[]
  /**
   * How much the files of one copy may hold together, such as 100Mi: a number, with Ki, Mi or Gi
   * behind it or as plain bytes. Left out, there is no limit.
   */
  maxBytes?: string
  /**
   * Whether text files are masked on the way out, as masking of the same policy says. Files that
   * are not text are left as they are. Default: false.
   */
  maskText?: boolean
}

/**
 * What kubectl debug and kubectl run may add, for Debug. Left out, it is any image that is not
 * privileged and adds no capability but SYS_PTRACE. When several policies match, each one's limits
 * hold.
 */
export interface AccessPolicyDebug {
  /**
   * The images, as the request writes them, such as busybox:* or registry.example/tools/*. An
   * asterisk stands for any characters, a question mark for exactly one. Left out, it is every
   * image.
   */
  images?: string[]
  /**
   * The capabilities that may be added, without CAP_ before them; ALL is every one. Left out, it is
   * SYS_PTRACE, which kubectl adds by its profile general. An empty list is none.
   */
  capabilities?: string[]
  /**
   * Whether it may be privileged, or have the network, the processes or the file system of the
   * node, as kubectl debug node does. That is as good as root on the node, and on every pod of it.
   * Default: false.
   */
  privileged?: boolean
}

/** How much of a session is kept. */
export interface AccessPolicyRecording {
  /**
   * Full keeps every byte. Digest keeps how much it was and its SHA-256. Left out, it is Full for
   * Exec, Attach and Debug, and Digest for the others. When several policies match, Full wins.
   */
  content: 'Full' | 'Digest'
}

/** What the gateway thinks of the policy. */
export interface AccessPolicyStatus {
  /**
   * Ready is True when the gateway has compiled the policy and decides by it. When it is False, the
   * message names the field. A policy that is not ready fails closed: what it matches is refused.
   */
  conditions?: AccessPolicyCondition[]
}

export interface AccessPolicyCondition {
  /** The name of the condition. */
  type: string
  /** True, False or Unknown. */
  status: 'True' | 'False' | 'Unknown'
  /** The metadata.generation that this was found for. */
  observedGeneration?: number
  /** When status last changed. */
  lastTransitionTime: string
  /** One word for programs, such as Compiled or InvalidPattern. */
  reason: string
  /** The details, for people. */
  message: string
}
