/**
 * The two customers of the document that the project started from, as its example request gives them (standardised) and
 * as they are in the ERP's units. They are the ones whose labels it shows: the first stays, the second leaves.
 */
const featureOrder = [
  'account_length',
  'number_vmail_messages',
  'total_day_minutes',
  'total_eve_minutes',
  'total_night_minutes',
  'total_intl_minutes',
  'number_customer_service_calls',
  'international_plan',
  'total_day_calls',
  'total_eve_calls',
  'total_night_calls',
  'total_intl_calls',
];

export const seedRequest = {
  inputs: [
    [
      3.601381662065445, -0.584935532922293, -1.5476529221334174, -0.7299871432508589, 1.2558035395167784,
      -1.3007906138024043, 0.31897761002330555, -0.3266240515743332, -0.4296567932454234, -1.8408912088049738,
      0.9256335994458792, 0.6348485573724065,
    ],
    [
      0.18495105432263856, -0.584935532922293, -1.244013720966101, -0.1380816735819312, 0.16508986969232622,
      -2.1947932578306815, 1.8135194524172118, -0.3266240515743332, 0.22417614376006004, 0.4998636849042407,
      -0.35370363388816944, -0.1843703458003117,
    ],
  ],
};

export const seedCustomers = {
  stays: customer('C00818', 0, [243, 0, 95.5, 163.7, 264.2, 6.6, 2, 0, 92, 63, 118, 6], 0),
  leaves: customer('C01374', 1, [108, 0, 112, 193.7, 208.9, 4.1, 4, 0, 105, 110, 93, 4], 1),
};

function customer(id: string, label: 0 | 1, raw: number[], row: 0 | 1) {
  const byName = Object.fromEntries(featureOrder.map((name, i) => [name, raw[i] as number]));
  return { id, label, raw, byName, standardized: seedRequest.inputs[row] as number[] };
}
