import "./css/index.css";
import { render } from "preact";
import { resume, session } from "./session";
import { Shell } from "./shell";
import { Brand } from "./ui/brand";
import { Failure, Loading } from "./ui/feedback";
import Login from "./views/login/view";

function App() {
  const state = session.value;
  switch (state.is) {
    case "unknown":
      return <Loading />;
    case "failed":
      return (
        <main class="login">
          <h1>
            <Brand />
          </h1>
          <Failure error={state.error} retry={() => void resume()} />
        </main>
      );
    case "out":
      return <Login expired={state.expired} elsewhere={state.elsewhere} />;
    case "in":
      return <Shell />;
  }
}

const root = document.getElementById("app");
if (root) render(<App />, root);
void resume();
