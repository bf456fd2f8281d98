import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.feather as feather
import pyarrow.parquet as pq

table = pq.read_table("data/sales.parquet")
frame = table.to_pandas()
frame["double"] = frame.qty * 2
pq.write_table(pa.Table.from_pandas(frame), "data/double.parquet")
csv.write_csv(csv.read_csv("data/stores.csv"), "data/stores_again.csv")
feather.write_feather(table, "data/sales.feather")
for batch in pq.ParquetFile("data/double.parquet").iter_batches(batch_size=2):
    assert batch.num_rows
