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
 * AccessPolicy says who may open a shell or attach to which pods of its own namespace, who has to
 * approve that first, and what is masked in the output. Nothing is allowed unless a policy allows
 * it. Deny wins over Allow. When several Allow policies match, all of their demands hold together,
 * and so a policy of a namespace can tighten what a ClusterAccessPolicy demands but never loosen
 * it.
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
   * The people the policy is about. It applies to a request when any one of them is the user who
   * asks, or a group of that user.
   */
  subjects: AccessPolicySubject[]
  /** What the policy is about. All given fields must match. */
  match: AccessPolicyMatch
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
}

export interface AccessPolicySubject {
  /** User or Group. */
  kind: 'User' | 'Group'
  /**
   * The name as the API server sees it, with any prefix the gateway puts before names of its
   * identity provider. Compared exactly, without wildcards. The group system:authenticated is
   * everybody.
   */
  name: string
}

/** What the policy is about. All given fields must match. */
export interface AccessPolicyMatch {
  /**
   * Exec is running a command in a container (kubectl exec, kubectl cp). Attach is joining the
   * process that already runs there (kubectl attach).
   */
  operations: ('Exec' | 'Attach')[]
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
