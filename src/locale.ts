export const locales = ['en', 'es'] as const;

export type Locale = (typeof locales)[number];

/** A text in every language the service speaks. */
export type Localized = Record<Locale, string>;
