import { QueryClientProvider } from '@tanstack/react-query';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './App';
import { sendSpans } from './api/trace';
import { onDeleted } from './deletion/pending';
import { queryClient, removeImage } from './search/cache';
import { refreshSoon } from './search/refresh';
import './ui/base.css';
import { startUploads } from './upload/uploads';

onDeleted(removeImage);
startUploads(refreshSoon);
addEventListener('pagehide', sendSpans);

const root = document.getElementById('root');
if (root === null) throw new Error('index.html has no #root');
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={queryClient}>
      <App />
    </QueryClientProvider>
  </StrictMode>,
);
