// Signatures for whoever writes against them; the bodies follow as soon as the store compiles.
//
// impl Engine (Clone, cheap) {
//     pub fn new(store: Store, options: Options) -> Result<Engine, Error>;
//     pub async fn raw(&self, filter: &Filter, range: TimeRange, page: &Page) -> Result<Answer, Error>;
//     pub async fn totals(&self, filter: &Filter, last_access: TimeRange, by: By, page: &Page) -> Result<Answer, Error>;
//     pub async fn series(&self, filter: &Filter, range: TimeRange, bucket: Bucket, by: By, page: &Page) -> Result<Answer, Error>;
//     pub async fn rps(&self, filter: &Filter, range: TimeRange, step_s: Option<u32>, by: By, page: &Page) -> Result<Answer, Error>;
//     pub async fn coverage(&self, servers: &[u32], range: TimeRange, page: &Page) -> Result<Answer, Error>;
// }
