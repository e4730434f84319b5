//! Batches from the pieces of an Arrow IPC stream.

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamDecoder;
use std::collections::VecDeque;

/// The start of each message of a stream.
const CONTINUATION: [u8; 4] = [0xff; 4];

/// A stream in pieces, each of which ends with a message.
///
/// Arrow's decoder handles a message only once there are bytes after its header, and some messages have none: columns
/// without rows, rows without columns. So each piece is followed at once by the start of the next one.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    decoder: StreamDecoder,
    /// Whether the start of the next piece has been decoded already.
    ahead: bool,
    ready: VecDeque<RecordBatch>,
}

impl Pieces {
    /// The columns, once the first piece has arrived.
    pub(super) fn schema(&self) -> Option<SchemaRef> {
        self.decoder.schema()
    }

    /// Adds a piece.
    pub(super) fn add(&mut self, piece: Vec<u8>) -> Result<(), ArrowError> {
        let mut buffer = Buffer::from(piece);
        if self.ahead {
            buffer.advance(CONTINUATION.len().min(buffer.len()));
        }
        self.decode(buffer)?;
        self.ahead = true;
        self.decode(Buffer::from(&CONTINUATION))
    }

    fn decode(&mut self, mut buffer: Buffer) -> Result<(), ArrowError> {
        while !buffer.is_empty() {
            self.ready.extend(self.decoder.decode(&mut buffer)?);
        }
        Ok(())
    }

    /// The next batch that has arrived.
    pub(super) fn next(&mut self) -> Option<RecordBatch> {
        self.ready.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, DictionaryArray, Int32Array, RecordBatchOptions, StringArray};
    use arrow::datatypes::{DataType, Field, Int32Type, Schema};
    use arrow::ipc::writer::StreamWriter;
    use std::sync::Arc;

    fn survive(schema: Schema, batches: &[RecordBatch]) {
        let mut writer = StreamWriter::try_new(Vec::new(), &schema).unwrap();
        let mut pieces = Pieces::default();
        pieces.add(std::mem::take(writer.get_mut())).unwrap();
        assert_eq!(pieces.schema().as_deref(), Some(&schema), "the columns are known before the first row");
        for batch in batches {
            writer.write(batch).unwrap();
            pieces.add(std::mem::take(writer.get_mut())).unwrap();
            assert_eq!(pieces.next().as_ref(), Some(batch), "a batch is there as soon as its piece is");
        }
        assert_eq!(pieces.next(), None);
    }

    #[test]
    fn rows_with_columns_come_piece_by_piece() {
        let schema = Schema::new(vec![Field::new("n", DataType::Int32, true), Field::new("t", DataType::Utf8, true)]);
        let batch = |range: std::ops::Range<i32>| {
            let texts: ArrayRef = Arc::new(StringArray::from_iter(range.clone().map(|n| (n % 3 > 0).then(|| n.to_string()))));
            let numbers: ArrayRef = Arc::new(Int32Array::from_iter(range));
            RecordBatch::try_new(Arc::new(schema.clone()), vec![numbers, texts]).unwrap()
        };
        survive(schema.clone(), &[batch(0..1000), batch(5..5), batch(7..8), batch(0..3).slice(1, 2)]);
    }

    #[test]
    fn rows_without_columns_are_counted() {
        let schema = Arc::new(Schema::empty());
        let rows = |count| {
            let options = RecordBatchOptions::new().with_row_count(Some(count));
            RecordBatch::try_new_with_options(schema.clone(), Vec::new(), &options).unwrap()
        };
        survive(Schema::empty(), &[rows(7), rows(65_536), rows(1)]);
    }

    #[test]
    fn words_of_a_dictionary_may_change() {
        let field = Field::new_dictionary("d", DataType::Int32, DataType::Utf8, true);
        let schema = Schema::new(vec![field]);
        let batch = |words: &[&str]| {
            let column: ArrayRef = Arc::new(words.iter().copied().collect::<DictionaryArray<Int32Type>>());
            RecordBatch::try_new(Arc::new(schema.clone()), vec![column]).unwrap()
        };
        survive(schema.clone(), &[batch(&["a", "b", "a"]), batch(&["c"]), batch(&["b", "d"])]);
    }
}
