/** What a request may do, as the policies say: the words of the answer. */
import type { CopyRules } from '../api/copy-rules.ts'
export type { Operation } from '../api/operation.ts'

/** Somebody, or everybody of a group. */
export interface Subject {
  kind: 'User' | 'Group'
  name: string
}

export interface ServiceAccountSubject {
  kind: 'ServiceAccount'
  namespace: string
  name: string
}

/** Whom a policy is about; who approves is a Subject, since a machine is no second pair of eyes. */
export type PolicySubject = Subject | ServiceAccountSubject

/** Names one version of one policy. */
export interface PolicyRef {
  kind: 'AccessPolicy' | 'ClusterAccessPolicy'
  namespace?: string
  name: string
  uid: string
  digest: string
}

export interface MaskSpec {
  detectors: string[]
  patterns: { name: string; pattern: string }[]
  mode: 'Redact'
}

/** One policy's approvers: any one of the subjects will do. Sets of several policies all count. */
export interface ApproverSet {
  policy: PolicyRef
  subjects: Subject[]
}

export interface ApprovalDemand {
  /** One set per policy that demands approval; never empty. Each set must be satisfied. */
  approvers: ApproverSet[]
  /** How long a terminal waits. */
  waitMs: number
  /** How long an approval can be used. */
  validForMs: number
}

/** `Digest` keeps how much was shown and its SHA-256, not the bytes. */
export type RecordingContent = 'Full' | 'Digest'

export interface Obligations {
  masking: MaskSpec | undefined
  content: RecordingContent
  /** Undefined: anything may be copied either way. */
  copy: CopyRules | undefined
}

/**
 * Numbers of docs/messages.md: refused by a policy, by no policy, by a policy that is not ready, by
 * the limits of a policy on debug containers, by its demand on how the person signed in.
 */
export type DenyId = 1001 | 1002 | 1003 | 1034 | 1060

export type Decision =
  | { kind: 'deny'; id: DenyId; message: string; policy?: PolicyRef }
  | { kind: 'allow'; policies: PolicyRef[]; obligations: Obligations }
  | {
      kind: 'requireApproval'
      policies: PolicyRef[]
      obligations: Obligations
      approval: ApprovalDemand
    }
