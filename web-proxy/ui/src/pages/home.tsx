// The front page: public videos, searched, sorted, or of one author. What is shown is in the address, so that it can be linked.
import type { TargetedEvent } from "preact";
import { useEffect, useState } from "preact/hooks";
import { listVideos, profile } from "../api";
import { moment } from "../format";
import { language, useText } from "../language";
import { useLoad, usePages } from "../loading";
import { go } from "../place";
import { home, pathOf, type HomeQuery } from "../router";
import { Empty, Loading } from "../parts/empty";
import { SearchIcon } from "../parts/icons";
import { ProblemBox } from "../parts/problem_box";
import { VideoCard } from "../parts/video_card";
import type { Sort } from "../types";

export function Home(query: HomeQuery) {
  const t = useText();
  const key = JSON.stringify([query.q, query.author, query.sort]);
  const pages = usePages((cursor, signal) => listVideos(query, cursor, signal), key);
  const title = query.q ? t.home.results(query.q) : t.home.title;
  return (
    <>
      {query.author ? <AuthorHead username={query.author} /> : <h1 tabIndex={-1}>{title}</h1>}
      <Toolbar {...query} />
      <ProblemBox problem={pages.problem} onRetry={pages.more} />
      {!pages.begun && pages.busy && <Loading />}
      {pages.begun && pages.items.length === 0 && <Nothing searching={query.q !== ""} />}
      <ul class="grid" data-testid="video-list">
        {pages.items.map((video) => <VideoCard key={video.id} video={video} />)}
      </ul>
      <p class="visually-hidden" role="status">{pages.begun ? t.home.loaded(pages.items.length) : ""}</p>
      {pages.hasMore && (
        <p class="more">
          <button type="button" class="button" disabled={pages.busy} onClick={pages.more} data-testid="more">
            {pages.busy ? t.site.loading : t.site.more}
          </button>
        </p>
      )}
    </>
  );
}

function Toolbar(query: HomeQuery) {
  const t = useText();
  const [typed, setTyped] = useState(query.q);
  useEffect(() => setTyped(query.q), [query.q]);
  const search = (event: Event) => {
    event.preventDefault();
    go(home({ ...query, q: typed.trim() }));
  };
  return (
    <div class="toolbar">
      <form class="search" role="search" onSubmit={search} data-testid="search-form">
        <SearchIcon />
        <input
          type="search"
          aria-label={t.home.search}
          placeholder={t.home.search}
          value={typed}
          maxLength={200}
          onInput={(event: TargetedEvent<HTMLInputElement>) => setTyped(event.currentTarget.value)}
          onSearch={(event: Event) => typed === "" && query.q !== "" && search(event)}
          data-testid="search"
        />
        <button type="submit" class="button">{t.home.go}</button>
      </form>
      <label class="sort">
        <span>{t.home.sort}</span>
        <select
          value={query.sort}
          onChange={(event: TargetedEvent<HTMLSelectElement>) => go(home({ ...query, sort: event.currentTarget.value as Sort }))}
          data-testid="sort"
        >
          {(["new", "old", "title"] as const).map((sort) => <option key={sort} value={sort}>{t.home.sorts[sort]}</option>)}
        </select>
      </label>
    </div>
  );
}

function AuthorHead({ username }: { username: string }) {
  const t = useText();
  const { value, problem } = useLoad((signal) => profile(username, signal), username);
  return (
    <div class="author-head" data-testid="author">
      <h1 tabIndex={-1} class="user-text">{t.home.by(value?.displayName || username)}</h1>
      {value && <p class="quiet">{t.home.videoCount(value.videoCount)} · {t.home.since(moment(value.createdAt, language.value))}</p>}
      {value?.bio && <p class="user-text">{value.bio}</p>}
      <ProblemBox problem={problem} />
      <p><a href="/">{t.home.allVideos}</a></p>
    </div>
  );
}

function Nothing({ searching }: { searching: boolean }) {
  const t = useText();
  if (searching) {
    return (
      <Empty title={t.home.noMatch} text={t.home.noMatchText}>
        <a class="button" href="/">{t.home.allVideos}</a>
      </Empty>
    );
  }
  return (
    <Empty title={t.home.none} text={t.home.noneText}>
      <a class="button primary" href={pathOf({ page: "upload" })}>{t.home.uploadFirst}</a>
    </Empty>
  );
}
