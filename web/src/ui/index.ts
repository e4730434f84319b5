// Everything that views use, except charts: `./chart` brings uPlot with it.
export { arranged, pageOf, type SortKeys } from "./arrange";
export { Badge, State, type Tone } from "./badge";
export { Button, IconButton, LinkButton } from "./button";
export { Card, Figure, Figures } from "./card";
export { CodeBox } from "./codebox";
export { CsvButton, csvOf, saveFile } from "./csv";
export { Confirm, Dialog, FormDialog } from "./dialog";
export { FileDrop } from "./drop";
export { Empty, Failure, Loaded, Loading, Notice } from "./feedback";
export { AreaField, CheckField, Field, SelectField, TextField } from "./field";
export { FilterField, Filters, FilterSelect } from "./filter";
export { Icon, type IconName } from "./icons";
export { type Invalid, invalidChoice, InvalidNotice } from "./invalid";
export { Menu, type MenuItem } from "./menu";
export { DnsName, Foreign, Reason, Time } from "./name";
export { Page } from "./page";
export { Range, intervalOf, rangeOf, stepOf, zoomTo, type TimeRange } from "./range";
export { RecordLink, RecordNames } from "./record";
export { SaveRows } from "./rows";
export { SecretOnce } from "./secret";
export { Sparkline } from "./sparkline";
export {
  DataTable,
  Selected,
  Table,
  tableState,
  type Column,
  type Selection,
  type TableState,
} from "./table";
export { Tabs } from "./tabs";
export { toast } from "./toast";
