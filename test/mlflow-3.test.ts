import { describe } from '@jest/globals';
import { isMlflow3There, startMlflow3 } from './support/mlflow-3.ts';
import { describeModelServer } from './support/model-server-suite.ts';

(isMlflow3There() ? describe : describe.skip)('the newest MLflow 3', () => {
  describeModelServer('serving an adopted model by its alias, over TLS', startMlflow3);
});
