// The text in the field runs ahead of the query: it is searched once the visitor pauses.
import { useEffect, useRef, useState } from 'react';
import { changeQuery, currentView } from '../query/navigation';

const PAUSE_MS = 180;

export interface Draft {
  draft: string;
  type: (text: string) => void;
  /** Searches at once, and makes what is typed next a new step in the history. */
  flush: (text: string) => void;
  endTyping: () => void;
}

export function useDraft(text: string): Draft {
  const [draft, setDraft] = useState(text);
  const [synced, setSynced] = useState(text);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  // One stretch of typing is one step back.
  const isTyping = useRef(false);

  // The query changed from elsewhere: back button, an example, a picture.
  if (text !== synced) {
    setSynced(text);
    if (text !== draft.trim()) setDraft(text);
  }
  useEffect(() => () => clearTimeout(timer.current), []);

  const apply = (next: string) => {
    clearTimeout(timer.current);
    if (next.trim() === currentView().query.text) return;
    changeQuery({ text: next.trim() }, isTyping.current);
    isTyping.current = true;
  };
  return {
    draft,
    type: (next) => {
      setDraft(next);
      clearTimeout(timer.current);
      timer.current = setTimeout(() => apply(next), PAUSE_MS);
    },
    flush: (next) => {
      apply(next);
      isTyping.current = false;
    },
    endTyping: () => {
      isTyping.current = false;
    },
  };
}
