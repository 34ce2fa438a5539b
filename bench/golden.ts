import { createTestDatabase } from '../test/support/databases.ts';
import { startServer2 } from '../test/support/real-mlflow.ts';
import { makeCustomers } from './customers.ts';
import { startService } from './service-process.ts';
import { type SingleOptions, type SingleRow, takeTurns, type Way } from './single.ts';

/** What the golden rows in each call cost: this service with them and without, on the same real MLflow. */
export async function benchGolden(options: SingleOptions): Promise<SingleRow[]> {
  await using server2 = await startServer2();
  const customers = makeCustomers(server2.contract, 20_000).map(({ byName }) => JSON.stringify({ features: byName }));

  const start = async (script?: string) => {
    await using parts = new AsyncDisposableStack();
    const database = parts.use(await createTestDatabase('PostgreSQL'));
    const service = parts.use(
      await startService(
        {
          ...database.environment,
          MODEL_SERVER_URL: server2.address.url,
          MODEL_SERVER_CA_FILE: server2.caFile,
          MODEL_CONTRACT: server2.contractFile,
        },
        script,
      ),
    );
    const owned = parts.move();
    return { ...service, [Symbol.asyncDispose]: () => owned.disposeAsync() };
  };
  await using withRows = await start();
  await using without = await start('bench/without-golden-rows.ts');

  const way = (name: string, service: typeof withRows): Way => ({
    name,
    load: {
      url: service.url,
      keepAlive: true,
      request: (n) => ({
        method: 'POST',
        path: `/v1/customers/C${n % customers.length}/label`,
        headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${service.key}` },
        body: customers[n % customers.length] as string,
      }),
    },
    processes: { service: service.process, mlflow: server2.process },
  });
  return await takeTurns([way('with golden rows', withRows), way('without', without)], options);
}
