/// <reference types="vite/client" />
import 'react';

declare module 'react' {
  interface InputHTMLAttributes<T> {
    /** Not in the standard, in every browser. */
    webkitdirectory?: T extends HTMLInputElement ? string : never;
  }
}
