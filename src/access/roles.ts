/** `reader` < `operator` < `admin`; `ops` reads what monitors need and no customer. An admin may do what ops may. */
export const roles = ['reader', 'operator', 'admin', 'ops'] as const;

export type Role = (typeof roles)[number];

const includes: Record<Role, readonly Role[]> = {
  reader: ['reader'],
  operator: ['reader', 'operator'],
  admin: ['reader', 'operator', 'admin', 'ops'],
  ops: ['ops'],
};

/** Whether somebody with the role `has` may do what needs the role `needs`. */
export function mayActAs(has: Role, needs: Role): boolean {
  return includes[has].includes(needs);
}

export function isRole(text: string): text is Role {
  return (roles as readonly string[]).includes(text);
}
