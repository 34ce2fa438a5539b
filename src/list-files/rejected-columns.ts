/** The columns that a list of rejected rows has behind the file's own; when the mended list comes back they are left out. */
export const rejectedColumns = ['rejected_line', 'rejected_field', 'rejected_code', 'rejected_reason'] as const;

export function isRejectedColumn(name: string): boolean {
  return (rejectedColumns as readonly string[]).includes(name);
}
