/** From the names in a policy to those that evaluation compares; see compilePolicy about errors. */
import type { AccessPolicy } from '../api/access-policy.generated.ts'
import type { FieldError } from './compiled-policy.ts'
import type { PolicyRef, PolicySubject, Subject } from './decision.ts'

type Named = AccessPolicy['spec']['subjects'][number]
type NamedApprover = NonNullable<NonNullable<AccessPolicy['spec']['approval']>['approvers']>[number]

/** What cannot be read is taken to be about everybody, whom a policy with errors refuses. */
export const EVERYBODY: Subject = { kind: 'Group', name: 'system:authenticated' }

/** No colon: it parts the namespace from the name in the user name of a service account. */
const OBJECT_NAME = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/

export function compileSubjects(
  subjects: readonly Named[],
  { namespace: home }: PolicyRef,
  errors: FieldError[],
): PolicySubject[] {
  return subjects.map(({ kind, name, namespace = home }, index) => {
    const refuse = (field: string, message: string): Subject => {
      errors.push({ field: `spec.subjects[${index}].${field}`, message })
      return EVERYBODY
    }
    if (kind === 'User' || kind === 'Group') return { kind, name }
    if (kind !== 'ServiceAccount') return refuse('kind', 'is not User, Group or ServiceAccount')
    // As in a RoleBinding, what is left out is the namespace of the object itself.
    if (namespace === undefined) return refuse('namespace', 'is missing: of which one is it?')
    if (!OBJECT_NAME.test(namespace)) return refuse('namespace', 'is no name of a namespace')
    if (!OBJECT_NAME.test(name)) return refuse('name', 'is no name of a service account')
    return { kind, namespace, name }
  })
}

/** People only: what a machine says is no second opinion, whoever made it say so. */
export function compileApprovers(
  approvers: readonly NamedApprover[],
  errors: FieldError[],
): Subject[] {
  if (approvers.length === 0) {
    errors.push({ field: 'spec.approval.approvers', message: 'names nobody' })
  }
  return approvers.map(({ kind, name }, index) => {
    if (kind !== 'User' && kind !== 'Group') {
      const field = `spec.approval.approvers[${index}].kind`
      errors.push({ field, message: 'is neither User nor Group' })
    } else if (name.startsWith('system:serviceaccount')) {
      const field = `spec.approval.approvers[${index}].name`
      errors.push({ field, message: 'is of service accounts; name people' })
    }
    return { kind, name }
  })
}
