/**
 * `metav1.LabelSelector`, with the meaning it has everywhere in Kubernetes
 * (k8s.io/apimachinery pkg/labels/selector.go, Requirement.Matches).
 */

export type Labels = Readonly<Record<string, string>>

export interface LabelSelector {
  matchLabels?: Record<string, string>
  matchExpressions?: {
    key: string
    operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist'
    values?: string[]
  }[]
}

/** Labels come from JSON, so a key such as `constructor` must not find Object.prototype. */
function valueOf(labels: Labels, key: string): string | undefined {
  return Object.hasOwn(labels, key) ? labels[key] : undefined
}

/** Whether it selects everything, whatever the labels. */
export function isEmptySelector({ matchLabels, matchExpressions }: LabelSelector): boolean {
  return Object.keys(matchLabels ?? {}).length === 0 && (matchExpressions ?? []).length === 0
}

/** An empty or absent selector selects everything; otherwise all demands must hold. */
export function matchesLabels(selector: LabelSelector | undefined, labels: Labels): boolean {
  for (const [key, value] of Object.entries(selector?.matchLabels ?? {})) {
    if (valueOf(labels, key) !== value) return false
  }
  for (const { key, operator, values = [] } of selector?.matchExpressions ?? []) {
    const value = valueOf(labels, key)
    const listed = value !== undefined && values.includes(value)
    const holds = {
      In: listed,
      // A missing label is in no list, so NotIn holds for it.
      NotIn: !listed,
      Exists: value !== undefined,
      DoesNotExist: value === undefined,
    }
    if (!holds[operator]) return false
  }
  return true
}

/** What is wrong with a selector, or undefined. The CRD's own rules catch the same before us. */
export function selectorError(
  selector: LabelSelector,
): { field: string; message: string } | undefined {
  for (const [index, { operator, values = [] }] of (selector.matchExpressions ?? []).entries()) {
    const field = `matchExpressions[${index}]`
    if (!['In', 'NotIn', 'Exists', 'DoesNotExist'].includes(operator)) {
      return { field: `${field}.operator`, message: `${JSON.stringify(operator)} is not known` }
    }
    const takesValues = operator === 'In' || operator === 'NotIn'
    if (takesValues !== values.length > 0) {
      const message = takesValues
        ? `${operator} needs at least one value`
        : `${operator} takes none`
      return { field: `${field}.values`, message }
    }
  }
  return undefined
}
